"""A job that SLURM is about to take off its machine queues itself again."""

import logging
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from pytorch_lightning.utilities import rank_zero_only

from fishcnn.commands.command_line import has_setting
from fishcnn.utils import stopping

log = logging.getLogger(__name__)


@contextmanager
def requeueing(folder: str) -> Iterator[None]:
    """Queue the job again if SIGUSR1 ends it meanwhile, as ``sbatch --signal=USR1@120`` sends it.

    Args:
        folder: the setting that names the folder of the run, or of the sweep. Where it was not
            typed, the same command would begin again in another one.
    """
    stopping.answer_preemption()
    try:
        yield
    except BaseException:  # Lightning makes another one of what a signal raises
        _requeue(folder)
        raise


@rank_zero_only
def _requeue(folder: str) -> None:
    job = _slurm_job()
    if job is None or stopping.stopped_by() != getattr(signal, "SIGUSR1", None):
        return
    if not has_setting(folder):
        log.warning(
            "SLURM job %s is not queued again: without %s= it would begin anew", job, folder
        )
        return
    try:
        failed = subprocess.run(["scontrol", "requeue", job], check=False).returncode
    except OSError as error:
        log.warning("SLURM job %s is not queued again: %s", job, error)
        return
    if failed:
        log.warning("SLURM job %s is not queued again: scontrol has failed", job)
    else:
        log.info("SLURM job %s is queued again, and goes on from there.", job)


def _slurm_job() -> str | None:
    """The job that this process belongs to, as ``scontrol`` calls it; None outside of SLURM."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    if array:
        return f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID', '0')}"
    return os.environ.get("SLURM_JOB_ID")
