"""What a run says of each image that it was validated on: written at its end, read to compare."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.datasets import Batch
from fishcnn.utils.errors import FishError
from fishcnn.utils.text import printable, to_cell

# Equal digests are equal files, wherever they lie; no split separates the images of a group.
COLUMNS = ("path", "digest", "group", "label", "prediction", "probability")


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


@dataclass(frozen=True)
class ValidationTable:
    """What :class:`Answers` has written of n images.

    Attributes:
        images: which image, and what is right of it: digest and true class, as one text.
        right: bool ``(n,)``, whether the answer is right.
        groups: int64 ``(n,)``, numbers that images of one group share.
    """

    images: list[str]
    right: NDArray[np.bool_]
    groups: NDArray[np.int64]

    @classmethod
    def read(cls, file: Path) -> "ValidationTable":
        """Read a table.

        Raises:
            FishError: it is damaged.
            OSError: it cannot be read.
        """
        try:
            with file.open(encoding="utf-8", newline="") as opened:
                rows = list(csv.DictReader(opened))
            images = [f"{row['digest']} {row['label']}" for row in rows]
            right = [row["label"] == row["prediction"] for row in rows]
            groups = [int(row["group"]) for row in rows]
        except (KeyError, ValueError, TypeError, csv.Error) as error:
            raise FishError(f"{file} is damaged") from error
        if not images or None in {row["probability"] for row in rows}:  # cut short
            raise FishError(f"{file} is damaged")
        return cls(images, np.array(right, np.bool_), np.array(groups, np.int64))
