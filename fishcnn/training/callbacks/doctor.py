"""Reads the curves at the end of a fit and says what to try next."""

from pathlib import Path
from typing import cast

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from fishcnn.models.classifier import FishClassifier
from fishcnn.training.callbacks.history import History
from fishcnn.training.diagnosis import Curves, Settings, Verdict, diagnose, report


class Doctor(pl.Callback):
    """Write ``diagnosis.md`` and the text ``diagnosis`` of TensorBoard.

    Args:
        folder: where ``diagnosis.md`` goes.
        history: the curves.
        settings: what was in force.

    Attributes:
        verdicts: what was found, after the fit.
    """

    def __init__(self, folder: Path, history: History, settings: Settings) -> None:
        self.folder = folder
        self.history = history
        self.settings = settings
        self.verdicts: tuple[Verdict, ...] = ()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Diagnose."""
        classifier = cast(FishClassifier, pl_module)
        history = self.history
        if not trainer.is_global_zero or not history.epochs:
            return
        counts = classifier.confusion.sum(1).tolist()
        hits = classifier.confusion.diag().tolist()
        names = classifier.classes
        recalls = [hit / n if n else float("nan") for hit, n in zip(hits, counts, strict=True)]
        curves = Curves(
            train_loss=history.column("train_loss"),
            val_loss=history.column("val_loss"),
            train_acc=history.column("train_acc"),
            val_acc=history.column("val_acc"),
            learning_rate=history.column("lr"),
            step_loss=history.step_losses,
            val_recall=dict(zip(names, recalls, strict=True)),
            val_count=dict(zip(names, counts, strict=True)),
        )
        self.verdicts = diagnose(curves, self.settings)
        text = report(self.verdicts)
        (self.folder / "diagnosis.md").write_text(text, encoding="utf-8")
        if isinstance(trainer.logger, TensorBoardLogger):
            trainer.logger.experiment.add_text("diagnosis", text, trainer.current_epoch)
