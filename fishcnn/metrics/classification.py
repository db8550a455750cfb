"""Scores of predictions: arrays in, numbers out.

The usual definitions, for example those of Sokolova & Lapalme, "A systematic analysis of
performance measures for classification tasks", 2009. A confusion is int64 ``(K, K)``: how often
each class, by row, was taken for each other one, by column.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def confusion_counts(predicted: Counts, labels: Counts, num_classes: int) -> Counts:
    """Count the confusion of predicted and true class indices, each int64 ``(N,)``."""
    flat = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes).astype(np.int64)


@dataclass(frozen=True)
class ClassScores:
    """One number for each of K classes, all in [0, 1].

    Attributes:
        support: int64 ``(K,)``, images of the class.
        precision: ``(K,)``, share of the predictions of the class that are right; NaN where it was
            never predicted.
        recall: ``(K,)``, share of the images of the class that were found; NaN without images.
        f1: ``(K,)``, harmonic mean of both; NaN without images, 0 without a hit.
    """

    support: Counts
    precision: Floats
    recall: Floats
    f1: Floats

    def macro(self) -> "MacroScores":
        """Average over the classes that have images; one never predicted has precision 0."""
        present = self.support > 0
        columns = (np.nan_to_num(self.precision), self.recall, self.f1)
        return MacroScores(*(float(column[present].mean()) for column in columns))


class MacroScores(NamedTuple):
    """Unweighted means over the classes, so that a rare class counts as much as a frequent one."""

    precision: float
    recall: float
    f1: float


def class_scores(confusion: Counts) -> ClassScores:
    """Score each class of a confusion."""
    hits = confusion.diagonal().astype(np.float64)
    support, predictions = confusion.sum(1), confusion.sum(0)
    nothing = np.full(len(hits), np.nan)
    return ClassScores(
        support=support,
        precision=np.divide(hits, predictions, out=nothing.copy(), where=predictions > 0),
        recall=np.divide(hits, support, out=nothing.copy(), where=support > 0),
        f1=np.divide(2 * hits, support + predictions, out=nothing.copy(), where=support > 0),
    )


def top_k_accuracy(probabilities: Floats, labels: Counts, k: int) -> float:
    """Share of images whose true class is among the k most probable ones, 1 to K.

    Of equal ``(N, K)`` probabilities the lower class comes first, as in ``argmax``.
    """
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((ranked == labels[:, None]).any(1).mean())


class ConfusedPair(NamedTuple):
    """One kind of mistake by class indices; its share is of the images of the true class."""

    true: int
    predicted: int
    number: int
    share: float


def confused_pairs(confusion: Counts, limit: int) -> list[ConfusedPair]:
    """List at most `limit` mistakes, most frequent first; of equal ones the larger share first."""
    mistakes = confusion.copy()
    np.fill_diagonal(mistakes, 0)
    support = confusion.sum(1)
    pairs = [
        ConfusedPair(true, guess, int(mistakes[true, guess]), mistakes[true, guess] / support[true])
        for true, guess in np.argwhere(mistakes).tolist()
    ]
    return sorted(pairs, key=lambda pair: (-pair.number, -pair.share))[:limit]


def confusion_order(confusion: Counts) -> list[int]:
    """Sort classes so that those confused with each other stand together.

    Pairs are joined to chains as in Kruskal's algorithm, the most confused pair first. Longer
    chains come first; classes without a mistake come last, in their own order.
    """
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    mutual = np.triu(shares + shares.T, k=1)
    pairs = np.argwhere(mutual)
    chain_of = {k: [k] for k in range(len(confusion))}
    for a, b in pairs[np.argsort(-mutual[mutual > 0], kind="stable")].tolist():
        left, right = chain_of[a], chain_of[b]
        if left is right:
            continue
        # The pair shall stand as close as its chains allow.
        if 2 * left.index(a) < len(left) - 1:
            left.reverse()
        if 2 * right.index(b) > len(right) - 1:
            right.reverse()
        joined = [*left, *right]
        chain_of.update(dict.fromkeys(joined, joined))
    chains = {id(chain): chain for chain in chain_of.values()}.values()
    return [k for chain in sorted(chains, key=len, reverse=True) for k in chain]
