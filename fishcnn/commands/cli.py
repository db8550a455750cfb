"""What every script shares: errors for people instead of tracebacks.

Imported before Hydra answers ``--help``, so nothing heavy may be imported here.
"""

import functools
import sys
import traceback
from collections.abc import Callable

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fishcnn.commands.overrides import quote_values
from fishcnn.utils.errors import FishError

Run = Callable[[DictConfig], float | None]

_failed = False


def reports_errors(run: Run) -> Run:
    """Print a :class:`FishError` in one piece and go on with the next job of a sweep.

    Within a sweep, whatever else goes wrong with a job is printed as well and does not take the
    other jobs along. The exit status is set by :func:`start`, after all jobs.
    """

    @functools.wraps(run)
    def reporting(config: DictConfig) -> float | None:
        global _failed
        try:
            return run(config)
        except (FishError, OmegaConfBaseException) as error:
            _failed = True
            print(f"error: {error}", file=sys.stderr)
        except Exception:
            if HydraConfig.get().mode != RunMode.MULTIRUN:
                raise
            _failed = True
            traceback.print_exc()
        return float("nan")

    return reporting


def start(main: Callable[[], object]) -> None:
    """Run a script's Hydra main, and exit with status 1 if any of its jobs has failed."""
    global _failed
    _failed = False
    sys.argv[1:] = quote_values(sys.argv[1:])
    main()
    if _failed:
        sys.exit(1)
