"""The main job: train a network and show where it looks."""

import json
import logging
import statistics
import time
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from fishcnn import plots
from fishcnn.build import (
    Callbacks,
    build_classifier,
    build_datamodule,
    build_trainer,
    check_epochs,
    plain,
)
from fishcnn.callbacks.history import History
from fishcnn.classifier import FishClassifier
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.report import data_report
from fishcnn.data.split import write_split
from fishcnn.errors import FishError
from fishcnn.figures import save_figure
from fishcnn.models import check_network
from fishcnn.runs import find_checkpoint, versions
from fishcnn.summary import Summary, print_summary, wilson_interval

log = logging.getLogger(__name__)


def train(config: DictConfig) -> float:
    """Train as the configuration says, and write a run folder.

    Args:
        config: ``conf/train.yaml`` with its groups.

    Returns:
        The lowest validation loss, for sweepers that minimise it.

    Raises:
        FishError: a setting, the data or a checkpoint is at fault; the message says which.
    """
    start = time.perf_counter()
    _quiet_lightning()
    folder = Path(HydraConfig.get().runtime.output_dir)
    # Faults of the settings come before the data is read.
    datamodule = build_datamodule(config)
    check_network(plain(config.model), image_size=config.data.image_size)
    check_epochs(config)
    resumed = find_checkpoint(config.ckpt_path, Path(config.runs)) if config.ckpt_path else None
    pl.seed_everything(config.seed, workers=True, verbose=False)

    datamodule.prepare_data()
    datamodule.setup()
    _write_inputs(config, datamodule, folder)
    classifier = build_classifier(config, datamodule)
    if resumed:
        _check_resumable(resumed, classifier, config.trainer.max_epochs)
    callbacks = Callbacks(config, datamodule, folder)
    trainer = build_trainer(config, callbacks.all(), folder)
    # Drawing and decoding may have used random numbers or not, depending on what was cached.
    pl.seed_everything(config.seed, workers=True, verbose=False)
    trainer.fit(classifier, datamodule=datamodule, ckpt_path=resumed, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt

    best = FishClassifier.load_from_checkpoint(
        callbacks.checkpoint.best_model_path,
        weights_only=True,
        map_location=trainer.strategy.root_device,
    )
    scores = _validate(best, datamodule, trainer)
    figures = folder / "figures"
    _draw(figures, best, datamodule, callbacks)
    summary = _summarise(callbacks, best, scores, time.perf_counter() - start)
    summary.write(folder / "summary.json")
    places = {"run": folder, "checkpoint": Path(summary.checkpoint), "figures": figures}
    if config.logger.name == "tensorboard":
        places["TensorBoard logs"] = folder
    print_summary(summary, callbacks.doctor.verdicts, places)
    return summary.val_loss


def _quiet_lightning() -> None:
    """Keep Lightning's hints to itself: the summary says what matters here."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    # Batches are gathered from memory; worker processes would only copy them.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    # Lightning 2.6 meets a newer torch.
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")
    # The last batch of an epoch may be the only one of a tiny folder.
    warnings.filterwarnings("ignore", ".*The number of training batches.*is smaller than.*")


def _write_inputs(config: DictConfig, datamodule: FishDataModule, folder: Path) -> None:
    """Write down what is needed to repeat the run, before it begins."""
    OmegaConf.save(config, folder / "config.yaml", resolve=True)
    (folder / "versions.json").write_text(json.dumps(versions(), indent=1) + "\n")
    pictures = datamodule.pictures
    drawn = pictures.sides is None
    write_split(
        datamodule.split,
        pictures.paths,
        folder / "split.json",
        val_fraction=datamodule.val_fraction if drawn else None,
        seed=datamodule.split_seed if drawn else None,
    )
    text = data_report(pictures, datamodule.listing, datamodule.split)
    (folder / "data.md").write_text(text, encoding="utf-8")


def _check_resumable(path: Path, classifier: FishClassifier, max_epochs: int) -> None:
    checkpoint = torch.load(path, weights_only=True, map_location="cpu")
    classes = checkpoint["hyper_parameters"]["classes"]
    if classes != classifier.classes:
        raise FishError(
            f"ckpt_path={path} was trained on the classes {classes}, but this folder has "
            f"{classifier.classes}"
        )
    done = checkpoint["epoch"] + 1
    if done >= max_epochs:
        raise FishError(
            f"ckpt_path={path} has been trained for {done} epochs already and "
            f"trainer.max_epochs={max_epochs}: raise it to go on"
        )


def _validate(
    classifier: FishClassifier, datamodule: FishDataModule, fitted: pl.Trainer
) -> dict[str, float]:
    """Measure the checkpoint that is kept, as it was loaded from disk."""
    trainer = pl.Trainer(
        accelerator=fitted.accelerator.name(),
        devices=1,
        precision=fitted.precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.validate(classifier, datamodule=datamodule, verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def _draw(
    folder: Path, best: FishClassifier, datamodule: FishDataModule, callbacks: Callbacks
) -> None:
    folder.mkdir()
    history = callbacks.history
    best_epoch = _best_epoch(history)
    drawings = {
        "loss_per_iteration": plots.loss_per_iteration(
            range(1, len(history.step_losses) + 1), history.step_losses
        ),
        "curves": plots.curves(
            history.column("epoch"),
            history.column("train_loss"),
            history.column("val_loss"),
            history.column("train_acc"),
            history.column("val_acc"),
            best_epoch,
        ),
        "confusion_matrix": plots.confusion_matrix(
            best.confusion.numpy(), best.classes, f"Validation, epoch {best_epoch}"
        ),
        "grad_cam": callbacks.grad_cam.sheet(best, datamodule, f"Grad-CAM, epoch {best_epoch}"),
    }
    for name, figure in drawings.items():
        save_figure(figure, folder / f"{name}.png")


def _best_epoch(history: History) -> int:
    validated = [epoch for epoch in history.epochs if "val_loss" in epoch]
    return int(min(validated, key=lambda epoch: epoch["val_loss"])["epoch"])


def _summarise(
    callbacks: Callbacks, best: FishClassifier, scores: dict[str, float], seconds: float
) -> Summary:
    history = callbacks.history
    hits, total = int(best.confusion.diag().sum()), int(best.confusion.sum())
    return Summary(
        best_epoch=_best_epoch(history),
        epochs=len(history.epochs),
        val_acc=hits / total,
        val_acc_interval=wilson_interval(hits, total),
        val_loss=scores["val_loss"],
        val_f1=scores["val_f1"],
        val_top3=scores["val_top3"],
        last_val_acc=[e["val_acc"] for e in history.epochs if "val_acc" in e][-1],
        seconds=seconds,
        train_images_per_second=statistics.median(history.column("train_images_per_second")),
        checkpoint=callbacks.checkpoint.best_model_path,
        classes=best.classes,
        diagnosis=[verdict.name for verdict in callbacks.doctor.verdicts],
    )
