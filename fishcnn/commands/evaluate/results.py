"""Everything that an evaluation has found."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fishcnn.commands.evaluate.seen_images import SeenImages
from fishcnn.commands.evaluate.temperature import Calibration
from fishcnn.commands.labelled_images import LabelledImages
from fishcnn.metrics.calibration import Reliability, ece_by_chance, log_loss, reliability
from fishcnn.metrics.classification import (
    ClassScores,
    ConfusedPair,
    Counts,
    Floats,
    MacroScores,
    class_scores,
    confused_pairs,
    confusion_counts,
    top_k_accuracy,
)
from fishcnn.metrics.intervals import wilson_interval
from fishcnn.metrics.selective_prediction import (
    Kept,
    SelectiveCurve,
    keep,
    lowest_threshold,
    selective_curve,
)
from fishcnn.utils.text import interval_95, percent

_PAIRS = 20


@dataclass(frozen=True)
class Scores:
    """Scores of N predictions.

    Attributes:
        predicted: int64 ``(N,)``.
        confidence: ``(N,)`` probability of the predicted class.
        interval: 95% interval of the accuracy (Wilson 1927).
        top_k: share of images whose true class is among the first k, by k.
        confusion: int64 ``(K, K)``, rows are true classes.
        macro: means over the classes.
        log_loss: mean negative log-likelihood in nats.
        reliability: confidence against accuracy, with the ECE.
        ece_by_chance: what the ECE of a calibrated network stays below in 19 of 20 such sets.
    """

    predicted: Counts
    confidence: Floats
    right: NDArray[np.bool_]
    interval: tuple[float, float]
    top_k: dict[int, float]
    confusion: Counts
    by_class: ClassScores
    macro: MacroScores
    pairs: list[ConfusedPair]
    log_loss: float
    reliability: Reliability
    ece_by_chance: float

    @property
    def accuracy(self) -> float:
        """Share of right predictions."""
        return float(self.right.mean())

    @property
    def curve(self) -> SelectiveCurve:
        """Accuracy and coverage above each confidence."""
        return selective_curve(self.confidence, self.right)


def score(probabilities: Floats, labels: Counts, top_k: int) -> Scores:
    """Score ``(N, K)`` probabilities, N ≥ 1, by int64 ``(N,)`` labels, up to the top-k, k ≤ K."""
    predicted = probabilities.argmax(1)
    confidence = probabilities.max(1)
    right = predicted == labels
    confusion = confusion_counts(predicted, labels, probabilities.shape[1])
    by_class = class_scores(confusion)
    return Scores(
        predicted=predicted,
        confidence=confidence,
        right=right,
        interval=wilson_interval(int(right.sum()), len(right)),
        top_k={k: top_k_accuracy(probabilities, labels, k) for k in range(1, top_k + 1)},
        confusion=confusion,
        by_class=by_class,
        macro=by_class.macro(),
        pairs=confused_pairs(confusion, _PAIRS),
        log_loss=log_loss(probabilities, labels),
        reliability=reliability(confidence, right),
        ece_by_chance=ece_by_chance(confidence),
    )


@dataclass(frozen=True)
class Threshold:
    """The confidence above which predictions are as often right as wanted.

    Attributes:
        wanted: precision, 0 to 1.
        chosen_on: name of the images that it was chosen on.
        chosen: what it does to these; None if no threshold reaches the precision.
        applied: what it does to the judged images; None if there is no threshold.
    """

    wanted: float
    chosen_on: str
    chosen: Kept | None
    applied: Kept | None


def choose_threshold(
    wanted: float, chosen_on: str, probabilities: Floats, labels: Counts, judged: Scores
) -> Threshold:
    """Choose a threshold on M images, of ``(M, K)`` probabilities, and apply it to the judged."""
    right = probabilities.argmax(1) == labels
    chosen = lowest_threshold(selective_curve(probabilities.max(1), right), wanted)
    applied = chosen and keep(judged.confidence, judged.right, chosen.threshold)
    return Threshold(wanted, chosen_on, chosen, applied)


@dataclass(frozen=True)
class Results:
    """Everything that an evaluation has found.

    Attributes:
        images: N that were judged.
        probabilities: ``(N, K)``.
        seen: which images the network has learnt from.
        unseen: scores of the others; None where that is all of them, or none.
        plain: scores without test-time augmentation, if the others are with it.
        remarks: what a reader has to know about the numbers.
        plain_unseen: those of the plain scores that are of the unseen images.

    Calibration and threshold are of the unseen images alone where there are some.
    """

    checkpoint: Path
    classes: list[str]
    images: LabelledImages
    probabilities: Floats
    scores: Scores
    calibration: Calibration
    threshold: Threshold
    seen: SeenImages
    unseen: Scores | None
    plain: Scores | None
    remarks: list[str]
    plain_unseen: Scores | None = None

    @property
    def headline(self) -> Scores:
        """What speaks of new images: the scores without images that were trained on, if known."""
        return self.unseen or self.scores

    def of_new_images(self) -> "Results":
        """The results of the images that the network has not learnt from, if there are both."""
        if self.unseen is None:
            return self
        new = self.seen.unseen
        return replace(
            self,
            images=self.images.only(np.flatnonzero(new)),
            probabilities=self.probabilities[new],
            scores=self.unseen,
            seen=self.seen.only(new),
            plain=self.plain_unseen,
        )

    def worst_classes(self) -> list[int]:
        """Classes that have images, lowest F1 first."""
        f1 = self.scores.by_class.f1
        order: list[int] = np.argsort(f1, kind="stable").tolist()
        return [k for k in order if not math.isnan(f1[k])]

    def costly_mistakes(self, limit: int) -> Counts:
        """Positions of the wrong predictions, the most confident first."""
        wrong = np.flatnonzero(~self.scores.right)
        return wrong[np.argsort(-self.scores.confidence[wrong], kind="stable")][:limit]


def about_seen(seen: SeenImages, unseen: Scores | None) -> list[str]:
    """What a reader has to know of the images that the network knows already."""
    total = len(seen.identical)
    same, near, chosen = (int(which.sum()) for which in (seen.identical, seen.near, seen.chosen))
    remarks = []
    if same or near:
        text = f"The network was trained on {same} of these {total} images"
        if near:
            text += f", and {near} more are near-duplicates of images that it was trained on"
        if unseen:
            text += (
                f". On the other {len(unseen.right)} its accuracy is {percent(unseen.accuracy)} "
                f"({interval_95(unseen.interval)}): only that number speaks of new images."
            )
        else:
            text += ". There are no others, so these scores say nothing about new images."
        remarks.append(text)
    if 0 < chosen < total:
        remarks.append(
            f"{chosen} of these images are validation images of the run, on which the epoch with "
            "the lowest validation loss was chosen: that makes the scores slightly optimistic."
        )
    return remarks + ([seen.not_checked] if seen.not_checked else [])
