"""How far a run is, as it has written down itself.

Hydra loads this before any job of a sweep, so nothing heavy may be imported here.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum

from fishcnn.commands.run_files import read_notes
from fishcnn.utils import stopping
from fishcnn.utils.errors import FishError
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


DONE = (RunState.FINISHED, RunState.PRUNED)


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


@contextmanager
def writing_state(run: RunFolder) -> Iterator[Callable[[], None]]:
    """Write down how a run ends, unless a search has pruned it meanwhile.

    Args:
        run: whose lock this process holds.

    Yields:
        What has to be called when it begins. The state of a run that was there before, and that
        this start is refused, stays as it was.
    """
    own = not run.config.is_file()

    def begin() -> None:
        nonlocal own
        own = True
        write_state(run, RunState.RUNNING)

    try:
        yield begin
    except BaseException as error:
        stopped = stopping.stopped_by() or not isinstance(error, Exception)
        state = RunState.INTERRUPTED if stopped else RunState.FAILED
        said = str(error).strip().splitlines() or [type(error).__name__]
        if own and read_state(run) != RunState.PRUNED:
            with suppress(FishError):  # of a full disk, which the other error tells of as well
                write_state(run, state, None if stopped else said[0])
        raise
    if read_state(run) not in DONE:
        write_state(run, RunState.FINISHED)
