"""The main job: train a network and show where it looks."""

import json
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fishcnn.commands.build import build_classifier, build_datamodule, check_weights, prepare_images
from fishcnn.commands.command_line import instead, retyped, with_setting
from fishcnn.commands.images_of_run import check_same_labels, write_digests
from fishcnn.commands.run_state import writing_state
from fishcnn.commands.settings import as_settings
from fishcnn.commands.terminal import Terminal, print_raw
from fishcnn.commands.train.build_trainer import Callbacks, count_processes
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
from fishcnn.commands.train.fit import (
    build_fit,
    digest_of_images,
    quiet_lightning,
    seed_fit,
    whole_fit,
)
from fishcnn.commands.train.hyperparameters import run_name
from fishcnn.commands.train.new_folders import has_trained, will_stay
from fishcnn.commands.train.processes import Others, Task
from fishcnn.commands.train.requeue import requeueing
from fishcnn.commands.train.resume import Checkpoint, check_same_data
from fishcnn.commands.train.start_lines import inspection_settings, print_start
from fishcnn.commands.train.summary import print_summary
from fishcnn.commands.train.train_settings import check_train
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.inspection.data_findings import look_first
from fishcnn.data.inspection.data_report import data_report
from fishcnn.data.splitting.split import write_split
from fishcnn.models.classifier import FishClassifier
from fishcnn.models.scores import MONITOR
from fishcnn.models.sharding import is_sharded
from fishcnn.training.callbacks.pruning import Report
from fishcnn.training.checkpoint_writer import CheckpointWriter
from fishcnn.training.diagnosis import Verdict
from fishcnn.training.event_files import cut_back
from fishcnn.training.probe import fill_head
from fishcnn.utils import stopping
from fishcnn.utils.files import made_folder, write_bytes, write_text
from fishcnn.utils.lock import locked
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.versions import versions

log = logging.getLogger(__name__)


class Trial(NamedTuple):
    """What a search wants of a run, which is one of its trials.

    Attributes:
        report: is told every validation loss, and says whether the run is to end, see
            :class:`~fishcnn.training.callbacks.pruning.Pruning`.
        study: the folder of the search.
    """

    report: Report
    study: Path


def train(config: DictConfig, trial: Trial | None = None) -> float:
    """Train as ``conf/train.yaml`` and its groups say, and write a run folder.

    Typed again after it was stopped or killed, the same command goes on in its run folder.

    Args:
        config: of the run.
        trial: the search that it is a trial of; None outside of any.

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
    with (
        stopping.telling(partial(_kept, run, writer, config, trial)),
        requeueing("hydra.sweep.dir" if in_a_sweep() else "hydra.run.dir"),
        locked(run.path),
        writing_state(run) as begin,
    ):
        summary, verdicts = _train(config, overrides, run, writer, start, begin, trial)
    if summary is None:
        return float("nan")
    if verdicts is not None and trial is None:
        print_summary(summary, verdicts, run, _logdir(config, run))
        _print_next(config, verdicts, run)
    loss = summary[MONITOR]
    return float("nan" if loss is None else loss)


def _train(
    config: DictConfig,
    overrides: Sequence[str],
    run: RunFolder,
    writer: CheckpointWriter,
    start: float,
    begin: Callable[[], None],
    trial: Trial | None,
) -> tuple[dict[str, Any] | None, Sequence[Verdict] | None]:
    """Train, evaluate and draw.

    Returns:
        The content of ``summary.json``, None where only a learning rate was looked for; and the
        verdicts, None where an earlier start of the same sweep has finished this job.
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
        writer.written[resumed.path] = resumed.progress
        log.info("Going on after %s of %s.", resumed.progress, run.path)
    elif resumed:
        log.info("Going on in a new folder, after %s of %s.", resumed.progress, resumed.path)
    if not resumed:
        check_weights(config)
    with Others() as others:
        others.start(count_processes(config)[0])  # on this machine
        fitted = _prepare_and_fit(
            config, overrides, run, writer, datamodule, resumed, finishing, others, trial
        )
    if fitted is None:
        return None, None
    classifier, callbacks, trainer = fitted
    if is_sharded(classifier):  # what is left of it here is a part
        classifier = build_classifier(config, datamodule, fetch=False)
    summary = finish_run(classifier, datamodule, callbacks, trainer, run, start)
    return summary, callbacks.doctor.verdicts


def _prepare_and_fit(
    config: DictConfig,
    overrides: Sequence[str],
    run: RunFolder,
    writer: CheckpointWriter,
    datamodule: FishDataModule,
    resumed: Checkpoint | None,
    finishing: bool,
    others: Others,
    trial: Trial | None,
) -> tuple[FishClassifier, Callbacks, pl.Trainer] | None:
    """Read the images, write down what is needed to repeat the run, and train.

    Returns:
        What was trained, None where only a learning rate was looked for.
    """
    prepare_images(datamodule)
    for finding in look_first(datamodule.images, datamodule.splitting):
        log.warning(finding.text)
    seed_fit(config)
    if config.find_lr:
        find_learning_rate(config, datamodule, run)
        return None
    typed = inspection_settings(config)
    report = data_report(datamodule.images, datamodule.splitting, typed)
    ckpt_path = resumed.path if resumed else None
    last_epoch = resumed.epochs if resumed and finishing else None
    callbacks = Callbacks(config, report, run, ckpt_path, trial and trial.report)
    events = run.events(run_name(config))
    classifier, trainer = build_fit(
        config, datamodule, callbacks, ckpt_path, last_epoch, events, writer
    )
    if resumed:
        check_same_data(resumed, datamodule, config, trainer.world_size)
    elif config.probe:
        with as_settings():
            fill_head(classifier, datamodule, trainer.strategy.root_device)
    _cut_back_events(events, resumed, run)
    _write_inputs(config, overrides, datamodule, report, run)
    write_digests(datamodule, run, resumed=ckpt_path)
    print_start(datamodule, classifier, trainer, run, _logdir(config, run))
    if resumed and finishing and resumed.path != run.last_checkpoint.resolve():
        made_folder(run.checkpoints)
        write_bytes(run.last_checkpoint, resumed.path.read_bytes())
    images = digest_of_images(datamodule)
    others.begin(Task(config, run.path.absolute(), ckpt_path, last_epoch, images))
    try:
        with (
            as_settings(layer="callbacks.grad_cam.layer"),
            whole_fit(run, others),
        ):
            trainer.fit(classifier, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=True)
    finally:
        # What is stopped before its first checkpoint leaves nothing; an error leaves its log.
        if writer.written or (callbacks.history.first_step and not stopping.stopped_by()):
            has_trained(run.path)
        if torch.distributed.is_initialized():
            # What follows is for one process, whose metrics must not wait for the others.
            torch.distributed.destroy_process_group()
    return classifier, callbacks, trainer


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


def _cut_back_events(folder: Path, resumed: Checkpoint | None, run: RunFolder) -> None:
    """Take back what an earlier start of the same run has told TensorBoard after its checkpoint."""
    here = resumed and resumed.path.is_relative_to(run.path.resolve())
    events = resumed.events if resumed and here else {}
    if events is not None:  # of an earlier version
        cut_back(folder, events)


def _kept(run: RunFolder, writer: CheckpointWriter, config: DictConfig, trial: Trial | None) -> str:
    """Say what a stopped run has kept, and the command that goes on."""
    if not will_stay():
        command = retyped({})
    elif trial:
        command = instead({"tune.study": str(trial.study)})
    elif in_a_sweep():
        command = instead({"sweep.resume": str(Path(HydraConfig.get().sweep.dir).absolute())})
    else:
        command = with_setting("hydra.run.dir", str(run.path))
    files = (run.last_checkpoint, run.best_checkpoint)
    reached = {
        file: writer.written[file.resolve()] for file in files if file.resolve() in writer.written
    }
    latest = max(reached, key=lambda file: reached[file].steps, default=None)
    if latest is None:
        kept = "" if writer.written or in_a_sweep() else ", so nothing is kept"
        return f" before the end of the first epoch{kept}; to begin again: {command}"
    of = f"{reached[latest]} of {config.trainer.max_epochs}"
    return f"; kept: {of} in {latest}; to go on: {command}"


def _prepare(config: DictConfig, run: RunFolder) -> tuple[FishDataModule, Checkpoint | None, bool]:
    """Find the faults of the settings before the data is read; see :func:`find_resumed`."""
    datamodule = check_train(config)
    resumed, finishing = find_resumed(config, run)
    check_disk_space(config, run)
    return datamodule, resumed, finishing


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
