"""What every script shares: errors for people instead of tracebacks.

Imported before Hydra answers ``--help``, so nothing heavy may be imported here.
"""

import functools
import sys
from collections.abc import Callable

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fishcnn.errors import FishError

Run = Callable[[DictConfig], float | None]

_failed = False


def reports_errors(run: Run) -> Run:
    """Print a :class:`FishError` in one piece and go on with the next job of a sweep.

    The exit status is set by :func:`finish`, after all jobs.
    """

    @functools.wraps(run)
    def reporting(config: DictConfig) -> float | None:
        global _failed
        try:
            return run(config)
        except (FishError, OmegaConfBaseException) as error:
            _failed = True
            print(f"error: {error}", file=sys.stderr)
            return float("nan")

    return reporting


def finish() -> None:
    """Exit with status 1 if any job has failed since the last call."""
    global _failed
    failed, _failed = _failed, False
    if failed:
        sys.exit(1)
