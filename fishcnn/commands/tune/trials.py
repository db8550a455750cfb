"""One trial of a search: a training in a run folder of its own, as scripts/train.py would do it."""

import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

from hydra import compose
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import configure_log, run_job
from hydra.types import HydraContext
from omegaconf import DictConfig

from fishcnn.commands.overrides import quote_values
from fishcnn.commands.train.train import Trial, train
from fishcnn.training.callbacks.pruning import Report
from fishcnn.utils.files import made_folder
from fishcnn.utils.memory import free_memory
from fishcnn.utils.run_folder import RunFolder


def compose_trial(settings: Sequence[str], run: RunFolder) -> DictConfig:
    """Compose the configuration of a trial, Hydra's part too.

    Args:
        settings: overrides of scripts/train.py.
        run: the folder of the trial.
    """
    own = [f"hydra.run.dir={run.path}", "hydra.job.name=train"]
    quoted = quote_values([*settings, *own])
    return compose("train", quoted, return_hydra_config=True)


def run_trial(settings: Sequence[str], run: RunFolder, report: Report) -> float:
    """Train in a run folder; what is printed goes into a file there.

    Args:
        settings: overrides of scripts/train.py.
        run: the folder, in the folder of the search. Where it holds a part of the trial, that goes
            on.
        report: see :class:`~fishcnn.commands.train.train.Trial`.

    Returns:
        The lowest validation loss.

    Raises:
        Exception: whatever has gone wrong; the file has its traceback.
    """
    config = compose_trial(settings, run)
    loader = GlobalHydra.instance().config_loader()
    failed: list[Exception] = []
    losses: list[float] = []

    def job(config: DictConfig) -> None:
        try:
            losses.append(train(config, Trial(report, run.path.parent)))
        except Exception as error:
            traceback.print_exception(error, file=printed)
            failed.append(error)

    # Hydra names the log file of a job after the module of its function.
    job.__module__ = "train"
    made_folder(run.path)
    ours: Any = HydraConfig.get()
    context = HydraContext(config_loader=loader, callbacks=Callbacks())
    file = run.printed.open("a", encoding="utf-8", errors="backslashreplace")
    try:
        with file as printed, redirect_stdout(printed):
            run_job(job, config, "hydra.run.dir", None, context)
    finally:
        configure_log(ours.job_logging, ours.verbose)
        free_memory()
    if failed:
        raise failed[0]
    return losses[0]
