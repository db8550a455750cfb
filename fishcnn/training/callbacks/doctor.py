"""Reads the curves at the end of a fit and says what to try next."""

from typing import cast

import pytorch_lightning as pl

from fishcnn.data.datamodule import FishDataModule
from fishcnn.models.classifier import FishClassifier
from fishcnn.training.callbacks.best_checkpoint import BestCheckpoint
from fishcnn.training.callbacks.history import History
from fishcnn.training.diagnosis import Curves, Settings, Verdict, diagnose, report
from fishcnn.training.writer import tensorboard_writer
from fishcnn.utils.files import write_text
from fishcnn.utils.run_folder import RunFolder


class Doctor(pl.Callback):
    """Write the diagnosis into the run folder and, as the text ``diagnosis``, into TensorBoard.

    After the fit, ``verdicts`` holds what was found.
    """

    def __init__(self, folder: RunFolder, history: History, settings: Settings) -> None:
        self.folder = folder
        self.history = history
        self.settings = settings
        self.verdicts: tuple[Verdict, ...] = ()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Diagnose."""
        classifier, column = cast(FishClassifier, pl_module), self.history.column
        if not trainer.is_global_zero or not self.history.epochs:
            return
        datamodule = cast(FishDataModule, trainer.datamodule)  # type: ignore[attr-defined]
        counts = classifier.confusion.sum(1).tolist()
        hits = classifier.confusion.diag().tolist()
        recalls = [hit / n if n else float("nan") for hit, n in zip(hits, counts, strict=True)]
        curves = Curves(
            train_loss=column("train_loss"),
            val_loss=column("val_loss"),
            train_acc=column("train_acc"),
            val_acc=column("val_acc"),
            val_f1=column("val_f1"),
            learning_rate=column("lr"),
            step_loss=self.history.step_losses,
            val_recall=dict(zip(classifier.classes, recalls, strict=True)),
            val_count=dict(zip(classifier.classes, counts, strict=True)),
            train_images=len(datamodule.split.train),
            kept_epoch=self._kept_epoch(trainer),
        )
        self.verdicts = diagnose(curves, self.settings)
        text = report(self.verdicts)
        write_text(self.folder.diagnosis, text)
        if writer := tensorboard_writer(trainer):
            writer.add_text("diagnosis", text, trainer.current_epoch)

    def _kept_epoch(self, trainer: pl.Trainer) -> int | None:
        """The epoch, from 1, of the best checkpoint; None where there is none."""
        kept = [one for one in trainer.checkpoint_callbacks if isinstance(one, BestCheckpoint)]
        score = kept[0].best_model_score if kept else None
        losses = self.history.column("val_loss")
        # Not the lowest of all, where a run goes on without its earlier checkpoints.
        if score is None or (loss := float(score)) not in losses:
            return None
        return losses.index(loss) + 1
