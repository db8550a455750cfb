"""The main job: train a network and show where it looks."""

import json
import logging
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from fishcnn.commands.build import (
    Callbacks,
    build_classifier,
    build_datamodule,
    build_trainer,
    prepare_images,
)
from fishcnn.commands.figures import save_figure
from fishcnn.commands.settings import as_settings, literal
from fishcnn.commands.train.resume import (
    Checkpoint,
    check_resumable,
    check_same_data,
    read_checkpoint,
)
from fishcnn.commands.train.summary import print_summary
from fishcnn.commands.train.train_settings import check_train
from fishcnn.commands.trained_run import find_checkpoint
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.inspection.data_report import data_report
from fishcnn.data.splitting.split import write_split
from fishcnn.metrics.intervals import wilson_interval
from fishcnn.models.checkpoint import verified_checkpoint
from fishcnn.models.classifier import FishClassifier
from fishcnn.models.scores import MONITOR, VAL_SCORES
from fishcnn.plots.confusion_matrix import confusion_matrix
from fishcnn.plots.curves import curves, loss_per_iteration
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import LAST_CHECKPOINT, RunFolder
from fishcnn.utils.text import finite
from fishcnn.utils.versions import versions


def train(config: DictConfig) -> float:
    """Train as ``conf/train.yaml`` and its groups say, and write a run folder.

    Returns:
        The lowest validation loss, for sweepers that minimise it.

    Raises:
        FishError: a setting, the data or a checkpoint is at fault; the message says which.
    """
    start = time.perf_counter()
    _quiet_lightning()
    run = RunFolder(Path(HydraConfig.get().runtime.output_dir))
    datamodule, resumed = _prepare(config, run)
    prepare_images(datamodule)
    # Not earlier: drawing and decoding have used random numbers or not, as the cache stood. A
    # continued run goes on with other ones than it began with.
    done = resumed.epochs if resumed else 0
    pl.seed_everything(config.seed + done, workers=True, verbose=False)
    report = data_report(datamodule.images, datamodule.splitting)
    classifier = build_classifier(config, datamodule, fetch=not resumed)
    if config.trainer.compile:
        # In place, so that checkpoints keep the names of their weights.
        classifier.network.compile()
    ckpt_path = resumed.path if resumed else None
    callbacks = Callbacks(config, report, run, ckpt_path)
    trainer = build_trainer(config, callbacks.all, run.path)
    if resumed:
        check_same_data(resumed, datamodule, config, trainer.world_size)
    if trainer.is_global_zero:
        _write_inputs(config, datamodule, report, run)
    with as_settings(layer="callbacks.grad_cam.layer"):
        trainer.fit(classifier, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=True)
    if torch.distributed.is_initialized():
        # What follows is for one process, whose metrics must not wait for the others.
        torch.distributed.destroy_process_group()
    if not trainer.is_global_zero:
        return float("nan")
    summary = _evaluate(classifier, datamodule, callbacks, trainer, run, start)
    logdir = run.path.parent if _in_a_sweep() else run.path
    logged = config.logger.name == "tensorboard"
    print_summary(summary, callbacks.doctor.verdicts, run, logdir if logged else None)
    return float(summary[MONITOR])


def _in_a_sweep() -> bool:
    return HydraConfig.get().mode == RunMode.MULTIRUN


def _evaluate(
    classifier: FishClassifier,
    datamodule: FishDataModule,
    callbacks: Callbacks,
    fitted: pl.Trainer,
    run: RunFolder,
    start: float,
) -> dict[str, Any]:
    """Measure the best checkpoint, write ``summary.json`` and draw the figures.

    The classifier that was trained takes the weights of that checkpoint.
    """
    path = callbacks.checkpoint.best_model_path
    if not path:
        raise FishError("nothing was validated, so there is no best checkpoint")
    best = verified_checkpoint(Path(path), finite=False)
    classifier.load_state_dict(best["state_dict"])
    best_epoch = best["epoch"] + 1
    # A compiled network would be compiled again for the sizes of the last batches.
    with torch.compiler.set_stance("force_eager"):
        scores = _validate(classifier, datamodule, fitted)
        summary = _summarise(callbacks, classifier, best_epoch, scores, start)
        text = json.dumps(finite(summary), indent=1, ensure_ascii=False, allow_nan=False)
        run.summary.write_text(text + "\n", encoding="utf-8")
        _draw(run.figures, classifier, best_epoch, datamodule, callbacks)
    return summary


def _prepare(config: DictConfig, run: RunFolder) -> tuple[FishDataModule, Checkpoint | None]:
    """Find the faults of the settings before the data is read."""
    check_train(config)
    datamodule = build_datamodule(config)
    resumed = None
    if config.ckpt_path:
        named = None if config.ckpt_path == "last" else config.ckpt_path
        path = find_checkpoint("ckpt_path", named, [Path(config.runs)], LAST_CHECKPOINT)
        resumed = read_checkpoint(path)
        check_resumable(resumed, config)
    ours = resumed and resumed.path.is_relative_to(run.path)
    if run.checkpoints.exists() and not ours:
        setting = "hydra.sweep.dir" if _in_a_sweep() else "hydra.run.dir"
        raise FishError(
            f"{setting}: {run.path} holds a run already; choose another folder, or continue "
            f"it with ckpt_path={run.path}"
        )
    return datamodule, resumed


def _quiet_lightning() -> None:
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
        # The first epochs of check_val_every_n_epoch have no validation loss yet.
        "could not find the monitored key",
    ):
        warnings.filterwarnings("ignore", f".*{hint}")


def _write_inputs(
    config: DictConfig, datamodule: FishDataModule, report: str, run: RunFolder
) -> None:
    """Write down what is needed to repeat the run, before it begins."""
    OmegaConf.save(_from_anywhere(config), run.config, resolve=True)
    run.versions.write_text(json.dumps(versions(), indent=1) + "\n")
    drawn_with = datamodule.split_settings if datamodule.splitting.drawn else None
    write_split(datamodule.split, datamodule.images.paths, run.split, drawn_with)
    run.data_report.write_text(report, encoding="utf-8")


def _from_anywhere(config: DictConfig) -> DictConfig:
    """A copy in which the folders of the data are found from wherever it is read."""
    absolute = config.copy()
    for name in ("root", "masks_root", "cache_root"):
        if folder := absolute.data.get(name):
            absolute.data[name] = literal(str(Path(folder).expanduser().absolute()))
    return absolute


def _validate(
    classifier: FishClassifier, datamodule: FishDataModule, fitted: pl.Trainer
) -> dict[str, float]:
    """Measure the checkpoint that is kept, as it was loaded from disk."""
    device = fitted.strategy.root_device
    trainer = pl.Trainer(
        accelerator=fitted.accelerator.name(),
        # The very one: another may be in use by somebody else.
        devices=1 if device.index is None else [device.index],
        precision=fitted.precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.validate(classifier, datamodule=datamodule, verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def _draw(
    folder: Path,
    best: FishClassifier,
    best_epoch: int,
    datamodule: FishDataModule,
    callbacks: Callbacks,
) -> None:
    """Draw the figures of a run folder."""
    folder.mkdir(exist_ok=True)
    history = callbacks.history
    drawings = {
        "loss_per_iteration": loss_per_iteration(
            range(1, len(history.step_losses) + 1), history.step_losses
        ),
        "curves": curves(
            history.column("epoch"),
            history.column("train_loss"),
            history.column("val_loss"),
            history.column("train_acc"),
            history.column("val_acc"),
            best_epoch,
        ),
        "confusion_matrix": confusion_matrix(
            best.confusion.numpy(), best.classes, f"Validation, epoch {best_epoch}"
        ),
    }
    if callbacks.grad_cam:
        title = f"Grad-CAM, epoch {best_epoch}"
        drawings["grad_cam"] = callbacks.grad_cam.sheet(best, datamodule, title)
    for name, figure in drawings.items():
        save_figure(figure, folder / f"{name}.png")


def _summarise(
    callbacks: Callbacks,
    best: FishClassifier,
    best_epoch: int,
    scores: dict[str, float],
    start: float,
) -> dict[str, Any]:
    """The content of ``summary.json``.

    Returns:
        best_epoch: epoch (from 1) of the kept checkpoint: lowest validation loss.
        epochs: how many were trained.
        val_acc, val_acc_interval, val_loss, ...: :data:`VAL_SCORES` of the kept checkpoint, and a
            95% interval. It was chosen on these images, which makes them slightly optimistic;
            ``last_val_acc``, of the last validation, is not chosen.
        val_pictures: how many images were validated on.
        seconds: from the settings to the numbers, without imports and figures.
        seconds_to_first_step: from the settings to the first training step: what has to be drawn,
            decoded, grouped and set up.
        train_images_per_second: median over the epochs.
        checkpoint: the kept one.
        classes: names in the order of the logits.
        diagnosis: names of the verdicts.
    """
    history = callbacks.history
    hits, total = int(best.confusion.diag().sum()), int(best.confusion.sum())
    return {
        "best_epoch": best_epoch,
        "epochs": len(history.epochs),
        **{name: scores[name] for name in VAL_SCORES},
        "val_acc": hits / total,
        "val_acc_interval": wilson_interval(hits, total),
        "val_pictures": total,
        "last_val_acc": [e["val_acc"] for e in history.epochs if "val_acc" in e][-1],
        "seconds": time.perf_counter() - start,
        "seconds_to_first_step": (history.first_step or start) - start,
        "train_images_per_second": statistics.median(history.column("train_images_per_second")),
        "checkpoint": callbacks.checkpoint.best_model_path,
        "classes": best.classes,
        "diagnosis": [verdict.name for verdict in callbacks.doctor.verdicts],
    }
