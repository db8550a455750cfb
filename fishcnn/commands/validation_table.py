"""What a run has said of each image that it was validated on."""

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fishcnn.utils.errors import FishError

# Equal digests are equal files, wherever they lie; no split separates the images of a group.
COLUMNS = ("path", "digest", "group", "label", "prediction", "probability")


@dataclass(frozen=True)
class ValidationTable:
    """What a run has written of n images, with the :data:`COLUMNS`.

    Attributes:
        images: which image, and what is right of it: digest and true class, as one text.
        labels: the true class of each.
        right: bool ``(n,)``, whether the answer is right.
        groups: int64 ``(n,)``, numbers that images of one group share.
    """

    images: list[str]
    labels: list[str]
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
            # Interned, as the tables of many runs name the same images.
            images = [sys.intern(f"{row['digest']} {row['label']}") for row in rows]
            labels = [sys.intern(row["label"]) for row in rows]
            right = [row["label"] == row["prediction"] for row in rows]
            groups = [int(row["group"]) for row in rows]
        except (KeyError, ValueError, TypeError, csv.Error) as error:
            raise FishError(f"{file} is damaged") from error
        if not images or None in {row["probability"] for row in rows}:  # cut short
            raise FishError(f"{file} is damaged")
        return cls(images, labels, np.array(right, np.bool_), np.array(groups, np.int64))
