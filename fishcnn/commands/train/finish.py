"""What a run leaves when its training is over: its numbers and its figures."""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from fishcnn.commands.figures import save_figure
from fishcnn.commands.train.answers import Answers
from fishcnn.commands.train.build_trainer import Callbacks
from fishcnn.data.datamodule import FishDataModule
from fishcnn.metrics.intervals import wilson_interval
from fishcnn.models.checkpoint import verified_checkpoint
from fishcnn.models.classifier import FishClassifier
from fishcnn.models.scores import VAL_SCORES
from fishcnn.plots.confusion_matrix import confusion_matrix
from fishcnn.plots.curves import curves, loss_per_iteration
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import made_folder, write_text
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import finite


def finish_run(
    classifier: FishClassifier,
    datamodule: FishDataModule,
    callbacks: Callbacks,
    fitted: pl.Trainer,
    run: RunFolder,
    start: float,
) -> dict[str, Any]:
    """Measure the best checkpoint, draw the figures and, as the last file, write ``summary.json``.

    Args:
        classifier: that was trained; it takes the weights of that checkpoint.
        datamodule: it was trained on.
        callbacks: of the fit.
        fitted: the trainer of the fit.
        run: where the files go.
        start: of the run, by ``time.perf_counter``.

    Returns:
        The content of ``summary.json``.

    Raises:
        FishError: there is no such checkpoint, or a file cannot be written.
    """
    path = callbacks.checkpoint.best_model_path
    if not path or not Path(path).is_file():
        raise FishError("nothing was validated, so there is no best checkpoint")
    best = verified_checkpoint(Path(path), finite=False)
    classifier.load_state_dict(best["state_dict"])
    best_epoch = best["epoch"] + 1
    # A compiled network would be compiled again for the sizes of the last batches.
    with torch.compiler.set_stance("force_eager"):
        scores = _validate(classifier, datamodule, fitted, run)
        summary = _summarise(callbacks, classifier, best_epoch, scores, start)
        _draw(run.figures, classifier, best_epoch, datamodule, callbacks)
    text = json.dumps(finite(summary), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(run.summary, text + "\n")
    return summary


def _validate(
    classifier: FishClassifier, datamodule: FishDataModule, fitted: pl.Trainer, run: RunFolder
) -> dict[str, float]:
    """Measure the checkpoint that is kept, as it was loaded from disk, and write each answer."""
    answers = Answers()
    device = fitted.strategy.root_device
    trainer = pl.Trainer(
        accelerator=fitted.accelerator.name(),
        # The very one: another may be in use by somebody else.
        devices=1 if device.index is None else [device.index],
        precision=fitted.precision,
        logger=False,
        callbacks=[answers],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.validate(classifier, datamodule=datamodule, verbose=False)
    write_text(run.validation, answers.table(datamodule))
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def _draw(
    folder: Path,
    best: FishClassifier,
    best_epoch: int,
    datamodule: FishDataModule,
    callbacks: Callbacks,
) -> None:
    """Draw the figures of a run folder."""
    made_folder(folder)
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
    # None where nothing was left to train.
    if callbacks.train_batch and (sheet := callbacks.train_batch.sheet(best.classes)):
        drawings["train_batch"] = sheet
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
        seconds: from the settings to the numbers, without imports and figures; of earlier starts
            the epochs that are counted in ``epochs``.
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
        "seconds": history.earlier_seconds + time.perf_counter() - start,
        "seconds_to_first_step": (history.first_step or start) - start,
        "train_images_per_second": statistics.median(history.column("train_images_per_second")),
        "checkpoint": callbacks.checkpoint.best_model_path,
        "classes": best.classes,
        "diagnosis": [verdict.name for verdict in callbacks.doctor.verdicts],
    }
