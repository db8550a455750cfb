"""How far a run is, as it has written down itself.

Hydra loads this before any job of a sweep, so nothing heavy may be imported here.
"""

import json
from enum import StrEnum

from fishcnn.commands.run_files import read_notes
from fishcnn.utils.files import write_text
from fishcnn.utils.lock import user_of
from fishcnn.utils.run_folder import RunFolder


class RunState(StrEnum):
    """How far a run is."""

    PENDING = "pending"  # a job of a sweep or a trial of a search that has not begun
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    PRUNED = "pruned"  # ended by a search, as others do better
    INTERRUPTED = "interrupted"  # by a signal, a kill or a power cut: it can go on


def write_state(run: RunFolder, state: RunState, reason: str | None = None) -> None:
    """Write ``state.json``.

    Args:
        run: whose folder is there.
        state: from now on.
        reason: what has failed, in one line.
    """
    write_text(run.state, json.dumps({"state": state, "reason": reason}, indent=1) + "\n")


def read_state(run: RunFolder) -> RunState | None:
    """How far a run is; None where it has written nothing, as those of earlier versions.

    A run that nobody is writing to any more, and that has not said how it ended, was interrupted.
    """
    try:
        state = RunState(str(read_notes(run.state).get("state")))
    except ValueError:
        return None
    if state == RunState.RUNNING and user_of(run.path) is None:
        return RunState.INTERRUPTED
    return state
