"""What a network answers in a validation, image by image, as a table."""

import csv
import io
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from fishcnn.commands.validation_table import COLUMNS
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.datasets import Batch
from fishcnn.utils.text import printable, to_cell


class Answers(pl.Callback):
    """Collects what a network answers in a validation, image by image."""

    def __init__(self) -> None:
        self._batches: list[tuple[Tensor, Tensor]] = []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's own type
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the logits, and which images they are of."""
        self._batches.append((batch["index"].cpu(), outputs.cpu()))

    def table(self, datamodule: FishDataModule) -> str:
        """A row of CSV for each image, with the :data:`COLUMNS`.

        The probability is that of the predicted class.
        """
        index = torch.cat([of_batch for of_batch, _ in self._batches]).numpy()
        shares = torch.cat([logits for _, logits in self._batches]).softmax(1)
        best, guesses = (column.tolist() for column in shares.max(1))
        images, groups = datamodule.images, datamodule.splitting.groups
        lines = io.StringIO(newline="")
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(COLUMNS)
        for image, guess, probability in zip(index.tolist(), guesses, best, strict=True):
            path = to_cell(printable(images.paths[image].as_posix()))
            digest, group = images.digests[image].tobytes().hex(), int(groups[image])
            names = (datamodule.classes[label] for label in (images.labels[image], guess))
            writer.writerow([path, digest, group, *map(to_cell, names), f"{probability:.6g}"])
        return lines.getvalue()
