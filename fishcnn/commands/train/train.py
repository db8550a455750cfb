"""The main job: train a network and show where it looks."""

import json
import logging
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from traceback import walk_tb
from typing import Any

import pytorch_lightning as pl
import torch
import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from pytorch_lightning.utilities import rank_zero_only

from fishcnn.commands.build import build_classifier, build_datamodule, check_weights, prepare_images
from fishcnn.commands.command_line import instead, retyped, with_setting
from fishcnn.commands.images_of_run import check_same_labels, write_digests
from fishcnn.commands.run_state import writing_state
from fishcnn.commands.settings import as_settings
from fishcnn.commands.terminal import Terminal, print_raw
from fishcnn.commands.train.build_trainer import Callbacks, build_trainer
from fishcnn.commands.train.continued import own_settings
from fishcnn.commands.train.disk_space import check_disk_space
from fishcnn.commands.train.earlier_start import (
    find_resumed,
    finished_before,
    in_a_sweep,
    written_config,
)
from fishcnn.commands.train.find_lr import find_learning_rate
from fishcnn.commands.train.finish import finish_run
from fishcnn.commands.train.hyperparameters import run_name
from fishcnn.commands.train.new_folders import has_trained, will_stay
from fishcnn.commands.train.resume import Checkpoint, check_same_data
from fishcnn.commands.train.start_lines import inspection_settings, print_start
from fishcnn.commands.train.summary import print_summary
from fishcnn.commands.train.train_settings import check_train
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.inspection.data_findings import look_first
from fishcnn.data.inspection.data_report import data_report
from fishcnn.data.splitting.split import write_split
from fishcnn.models.scores import MONITOR
from fishcnn.training.checkpoint_writer import CheckpointWriter
from fishcnn.training.diagnosis import Verdict
from fishcnn.training.probe import fill_head
from fishcnn.utils import stopping
from fishcnn.utils.errors import FishError, causes
from fishcnn.utils.files import made_folder, unwritable, write_bytes, write_text
from fishcnn.utils.lock import locked
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.versions import versions

log = logging.getLogger(__name__)


def train(config: DictConfig) -> float:
    """Train as ``conf/train.yaml`` and its groups say, and write a run folder.

    Typed again after it was stopped or killed, the same command goes on in its run folder.

    Returns:
        The lowest validation loss, for sweepers that minimise it.

    Raises:
        FishError: a setting, the data or a checkpoint is at fault, or the disk is full, or another
            process writes the same run; the message says which.
    """
    start = time.perf_counter()
    quiet_lightning()
    run = RunFolder(Path(HydraConfig.get().runtime.output_dir))
    config, overrides = own_settings(config, run)
    writer = CheckpointWriter()
    # Further processes of a distributed fit write nothing.
    first = getattr(rank_zero_only, "rank", 0) == 0
    with (
        stopping.telling(partial(_kept, run, writer, config)),
        locked(run.path) if first else nullcontext(),
        writing_state(run) if first else nullcontext(_nothing) as begin,
    ):
        summary, verdicts = _train(config, overrides, run, writer, start, begin)
    if summary is None:
        return float("nan")
    if verdicts is not None:
        print_summary(summary, verdicts, run, _logdir(config, run))
        _print_next(config, verdicts, run)
    loss = summary[MONITOR]
    return float("nan" if loss is None else loss)


def _nothing() -> None:
    """Write nothing."""


def _train(
    config: DictConfig,
    overrides: Sequence[str],
    run: RunFolder,
    writer: CheckpointWriter,
    start: float,
    begin: Callable[[], None],
) -> tuple[dict[str, Any] | None, Sequence[Verdict] | None]:
    """Train, evaluate and draw.

    Returns:
        The content of ``summary.json``, None in further processes of a distributed fit and where
        only a learning rate was looked for; and the verdicts, None where an earlier start of the
        same sweep has finished this job.
    """
    if finished := finished_before(config, run):
        longer = 2 * config.trainer.max_epochs
        log.info(
            "%s is finished already; to train it further: %s",
            run.path,
            instead({"ckpt_path": str(run.path), "trainer.max_epochs": str(longer)}),
        )
        with as_settings("data."):
            check_same_labels(run, build_datamodule(config))
        return finished, None
    datamodule, resumed, finishing = _prepare(config, run)
    begin()
    if resumed and resumed.path.is_relative_to(run.path.resolve()):
        writer.epochs[resumed.path] = resumed.epochs
        log.info("Going on after epoch %d of %s.", resumed.epochs, run.path)
    if not resumed:
        check_weights(config)
    prepare_images(datamodule)
    for finding in look_first(datamodule.images, datamodule.splitting):
        log.warning(finding.text)
    # Not earlier: drawing and decoding have used random numbers or not, as the cache stood. A
    # continued run goes on with other ones than it began with.
    done = resumed.epochs if resumed else 0
    pl.seed_everything(config.seed + done, workers=True, verbose=False)
    if config.find_lr:
        find_learning_rate(config, datamodule, run)
        return None, None
    typed = inspection_settings(config)
    report = data_report(datamodule.images, datamodule.splitting, typed)
    classifier = build_classifier(config, datamodule, fetch=not resumed)
    if config.trainer.compile:
        # In place, so that checkpoints keep the names of their weights.
        classifier.network.compile()
    ckpt_path = resumed.path if resumed else None
    callbacks = Callbacks(config, report, run, ckpt_path)
    trainer = build_trainer(config, callbacks.all, run.events(run_name(config)), writer)
    if resumed:
        check_same_data(resumed, datamodule, config, trainer.world_size)
        if finishing:
            trainer.fit_loop.max_epochs = resumed.epochs
    elif config.probe:
        with as_settings():
            fill_head(classifier, datamodule, trainer.strategy.root_device)
    if trainer.is_global_zero:
        _write_inputs(config, overrides, datamodule, report, run)
        write_digests(datamodule, run, resumed=ckpt_path)
        print_start(datamodule, classifier, trainer, run, _logdir(config, run))
        if resumed and finishing and resumed.path != run.last_checkpoint.resolve():
            made_folder(run.checkpoints)
            write_bytes(run.last_checkpoint, resumed.path.read_bytes())
    try:
        with as_settings(layer="callbacks.grad_cam.layer"), _whole_fit(trainer, run):
            trainer.fit(classifier, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=True)
    finally:
        # What is stopped before its first checkpoint leaves nothing; an error leaves its log.
        if writer.epochs or (callbacks.history.first_step and not stopping.stopped_by()):
            has_trained(run.path)
    if torch.distributed.is_initialized():
        # What follows is for one process, whose metrics must not wait for the others.
        torch.distributed.destroy_process_group()
    if not trainer.is_global_zero:
        return None, None
    summary = finish_run(classifier, datamodule, callbacks, trainer, run, start)
    return summary, callbacks.doctor.verdicts


def _logdir(config: DictConfig, run: RunFolder) -> Path | None:
    """What TensorBoard is to show: the run, or the sweep that it belongs to; None without logs."""
    if config.logger.name != "tensorboard":
        return None
    return run.path.parent if in_a_sweep() else run.path


def _print_next(config: DictConfig, verdicts: Sequence[Verdict], run: RunFolder) -> None:
    """Print the command of the first suggestion, or the one that trains a run for longer.

    Not within a sweep, whose table comes at the end: all its jobs would take what is added to its
    command.
    """
    if in_a_sweep():
        return
    asked = [override.partition("=")[::2] for one in verdicts for override in one.suggestions]
    epochs = [value for name, value in asked if name == "trainer.max_epochs"]
    # The other schedules end with the run: they are not stretched.
    stretches = config.scheduler.name in ("plateau", "none")
    if stretches and epochs and int(epochs[0]) > config.trainer.max_epochs:
        heading = "Train this run for longer, under its own settings:"
        command = instead({"ckpt_path": str(run.path), "trainer.max_epochs": epochs[0]})
    elif asked:
        heading = "Train another run, with the first of these:"
        command = retyped({"ckpt_path": None, "hydra.run.dir": None, **dict(asked[:1])})
    else:
        return
    print_raw(Terminal(), [f"\n{heading}", f"  {command}"])


def _kept(run: RunFolder, writer: CheckpointWriter, config: DictConfig) -> str:
    """Say what a stopped run has kept, and the command that goes on."""
    if not will_stay():
        command = retyped({})
    elif in_a_sweep():
        command = instead({"sweep.resume": str(Path(HydraConfig.get().sweep.dir).absolute())})
    else:
        command = with_setting("hydra.run.dir", str(run.path))
    files = (run.last_checkpoint, run.best_checkpoint)
    latest = max(files, key=lambda file: writer.epochs.get(file.resolve(), 0))
    epochs = writer.epochs.get(latest.resolve())
    if epochs is None:
        kept = "" if writer.epochs or in_a_sweep() else ", so nothing is kept"
        return f" before the end of the first epoch{kept}; to begin again: {command}"
    of = f"epoch {epochs} of {config.trainer.max_epochs}"
    return f"; kept: {of} in {latest}; to go on: {command}"


@contextmanager
def _whole_fit(trainer: pl.Trainer, run: RunFolder) -> Iterator[None]:
    """End all processes of a fit with the first one, and explain a full disk.

    TensorBoard writes in a thread, which hands its error on; printing it there as well is too much.
    """
    print_error, threading.excepthook = threading.excepthook, _print_unless_of_disk
    try:
        yield
    except BaseException as error:
        if trainer.strategy.launcher and trainer.is_global_zero:
            # On Windows, which has no SIGKILL, any other signal ends a process at once.
            trainer.strategy.launcher.kill(getattr(signal, "SIGKILL", signal.SIGTERM))
        told = next((cause for cause in causes(error) if isinstance(cause, FishError)), None)
        names = [f.f_globals.get("__name__", "") for f, _ in walk_tb(error.__traceback__)]
        if isinstance(error, OSError) and any("tensorboard" in name for name in names):
            raise told or unwritable(run.path / "events.out.tfevents", error) from error
        raise
    finally:
        threading.excepthook = print_error


def _print_unless_of_disk(arguments: threading.ExceptHookArgs) -> None:
    if not issubclass(arguments.exc_type, OSError):
        threading.__excepthook__(arguments)


def _prepare(config: DictConfig, run: RunFolder) -> tuple[FishDataModule, Checkpoint | None, bool]:
    """Find the faults of the settings before the data is read; see :func:`find_resumed`."""
    datamodule = check_train(config)
    resumed, finishing = find_resumed(config, run)
    check_disk_space(config, run)
    return datamodule, resumed, finishing


def quiet_lightning() -> None:
    """Keep Lightning's hints to itself: the summary says what matters here."""
    for logger in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    for hint in (
        # Batches are gathered from memory; worker processes would only copy them.
        "does not have many workers",
        # Lightning 2.6 meets a newer torch.
        "isinstance.treespec, LeafSpec",
        # A fit that is continued in another folder takes its best checkpoint along by itself.
        "The dirpath has changed",
        "Checkpoint directory .* exists and is not empty",
        # What is logged at the end of an epoch comes from counts that are synchronised already.
        "It is recommended to use .*sync_dist=True",
        # What is frozen of a network is meant to be.
        r"Found .* module\(s\) in eval mode",
        # The first epochs of check_val_every_n_epoch have no validation loss yet.
        "could not find the monitored key",
    ):
        warnings.filterwarnings("ignore", f".*{hint}")


def _write_inputs(
    config: DictConfig,
    overrides: Sequence[str],
    datamodule: FishDataModule,
    report: str,
    run: RunFolder,
) -> None:
    """Write down what is needed to repeat the run, before it begins."""
    write_text(run.typed, yaml.safe_dump([*overrides], allow_unicode=True))
    write_text(run.config, written_config(config))
    write_text(run.versions, json.dumps(versions(), indent=1) + "\n")
    drawn_with = datamodule.split_settings if datamodule.splitting.drawn else None
    if datamodule.corrected is None:
        run.labels.unlink(missing_ok=True)
    else:
        datamodule.corrected.save(run.labels)
    write_split(datamodule.split, datamodule.images.paths, run.split, drawn_with)
    write_text(run.data_report, report)
