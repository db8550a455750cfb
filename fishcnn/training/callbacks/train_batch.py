"""Shows what the network is trained on."""

from typing import cast

import pytorch_lightning as pl
from matplotlib.figure import Figure
from torch import Tensor

from fishcnn.data.datasets import Batch
from fishcnn.models.classifier import FishClassifier
from fishcnn.plots.batch_sheet import batch_sheet
from fishcnn.plots.figure import figure_to_array
from fishcnn.training.event_files import is_continued
from fishcnn.training.writer import tensorboard_writer
from fishcnn.utils.checks import check_arguments, whole

TRAIN_BATCH_SETTINGS = {"pictures": whole(1, 1000)}


class TrainBatch(pl.Callback):
    """Draw the first images that the network is trained on, when it gets them.

    They are those of the first batch of a fit, after augmentation and mixing and before the
    normalisation, which is the classifier's; nothing is drawn at random for it. TensorBoard gets
    the figure ``train/batch`` where it has none of an earlier start of the run.

    Args:
        pictures: images of the batch, at most.

    Raises:
        ArgumentError: ``pictures`` is out of range.
    """

    def __init__(self, *, pictures: int = 12) -> None:
        check_arguments(locals(), TRAIN_BATCH_SETTINGS)
        self.pictures = pictures
        self._seen: tuple[Tensor, Tensor] | None = None
        self._epoch = 0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Draw the first batch."""
        if self._seen is not None or not trainer.is_global_zero:
            return
        kept = slice(self.pictures)
        self._seen = batch["image"][kept].float().cpu(), batch["target"][kept].float().cpu()
        self._epoch = trainer.current_epoch + 1
        figure = self.sheet(cast(FishClassifier, pl_module).classes)
        writer = tensorboard_writer(trainer)
        if figure and writer and not is_continued(writer):
            image = figure_to_array(figure)
            writer.add_image("train/batch", image, self._epoch, dataformats="HWC")

    def sheet(self, classes: list[str]) -> Figure | None:
        """The figure; None before the first batch."""
        if self._seen is None:
            return None
        images, targets = self._seen
        title = f"Training batch as augmented, epoch {self._epoch}"
        return batch_sheet(images.permute(0, 2, 3, 1).numpy(), targets.numpy(), classes, title)
