"""What becomes of the accuracy when a network may leave out images it is not sure of.

Geifman & El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017. In all
of it `confidence` is the ``(N,)`` probability of the predicted class, and `right`, bool ``(N,)``,
says whether it is the true one.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fishcnn.metrics.classification import Counts, Floats

# Fewer images may reach any precision by chance: all of 20 right is still 84% to 100%.
MIN_KEPT = 20


@dataclass(frozen=True)
class SelectiveCurve:
    """One point for each of M different confidences, ``(M,)`` from high to low; see `Kept`."""

    threshold: Floats
    kept: Counts
    hits: Counts
    total: int

    @property
    def accuracy(self) -> Floats:
        """Of the images that are kept, ``(M,)``."""
        return self.hits / self.kept

    @property
    def coverage(self) -> Floats:
        """``(M,)``, share of the images that are kept."""
        return self.kept / self.total


def selective_curve(confidence: Floats, right: NDArray[np.bool_]) -> SelectiveCurve:
    """Follow accuracy and coverage down the confidences."""
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    # Equally sure images are kept or left out together.
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    return SelectiveCurve(
        threshold=ranked[last],
        kept=last + 1,
        hits=np.cumsum(right[order])[last].astype(np.int64),
        total=len(confidence),
    )


@dataclass(frozen=True)
class Kept:
    """What a threshold does to a set of images.

    Of `total` images those with a confidence of `threshold` or more are kept; `hits` are right.
    """

    threshold: float
    kept: int
    hits: int
    total: int

    @property
    def precision(self) -> float:
        """Share of the kept images that are right; NaN if none is kept."""
        return self.hits / self.kept if self.kept else float("nan")

    @property
    def shown_threshold(self) -> str:
        """For a person: rounded down, or 0.99996 would be shown as 1, which nothing reaches."""
        return f"{math.floor(self.threshold * 1e4) / 1e4:.4f}"

    @property
    def coverage(self) -> float:
        """Share of the images that are kept."""
        return self.kept / self.total


def lowest_threshold(
    curve: SelectiveCurve, precision: float, at_least: int = MIN_KEPT
) -> Kept | None:
    """Find the lowest threshold with a wanted precision, in [0, 1], which keeps the most images.

    A precision counts where at least so many images are kept; None if no threshold reaches it.
    """
    good = np.flatnonzero((curve.accuracy >= precision) & (curve.kept >= at_least))
    if not len(good):
        return None
    point = int(good[-1])
    kept, hits = int(curve.kept[point]), int(curve.hits[point])
    return Kept(float(curve.threshold[point]), kept, hits, curve.total)


def keep(confidence: Floats, right: NDArray[np.bool_], threshold: float) -> Kept:
    """Apply a threshold to other images than those it was chosen on."""
    kept = confidence >= threshold
    return Kept(threshold, int(kept.sum()), int(right[kept].sum()), len(confidence))
