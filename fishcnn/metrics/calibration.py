"""Whether a probability means what it says, and the temperature that makes it so.

Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural networks", ICML 2017. In all of it
`confidence` is the ``(N,)`` probability of the predicted class, `right`, bool ``(N,)``, says
whether it is the true one; `logits` and `probabilities` are ``(N, K)``, `labels` int64 ``(N,)``.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fishcnn.metrics.classification import Counts, Floats

BINS = 15  # as in Guo et al.
_DRAWS = 1000  # of hits, to see what chance does

# Temperatures of trained networks lie well inside. Without a mistake to learn from the best one is
# 0, with labels that are noise it is infinite; neither may be believed.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.2, 20.0
# One number is little to fit, but of fewer images one or two mistakes would decide it by chance.
MIN_FIT_IMAGES = 20


def softmax(logits: Floats, temperature: float | Floats) -> Floats:
    """Probabilities along the last axis of logits that are divided by a temperature above 0."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(-1, keepdims=True))
    probabilities: Floats = powers / powers.sum(-1, keepdims=True)
    return probabilities


def log_loss(probabilities: Floats, labels: Counts) -> float:
    """Mean negative log-likelihood of the true classes, in nats; finite even for a 0."""
    return float(-np.log(true_class(probabilities, labels)).mean())


def true_class(probabilities: Floats, labels: Counts) -> Floats:
    """Probability of each image's true class, ``(N,)``; 0 counts as the smallest float."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return np.maximum(chosen, np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy in B bins of equal width.

    Attributes:
        edges: ``(B + 1,)`` from 0 to 1; a bin holds its upper edge.
        count: int64 ``(B,)``, images; `hits` are the right ones among them.
        confidence: ``(B,)`` mean confidence, NaN in an empty bin, as is the accuracy.
        ece: expected calibration error: mean gap between confidence and accuracy, weighted by the
            images of each bin, in [0, 1].
    """

    edges: Floats
    count: Counts
    hits: Counts
    confidence: Floats
    accuracy: Floats
    ece: float


def reliability(confidence: Floats, right: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Compare confidence and accuracy (Guo et al. 2017, equations 2 and 3)."""
    place, total = _binned(confidence, bins)
    count = np.bincount(place, minlength=bins)
    hits = np.bincount(place[right], minlength=bins)
    empty_as_nan = np.where(count > 0, count, np.nan)
    return Reliability(
        edges=np.linspace(0, 1, bins + 1),
        count=count,
        hits=hits,
        confidence=total / empty_as_nan,
        accuracy=hits / empty_as_nan,
        ece=float(np.abs(hits - total).sum() / len(confidence)),
    )


def ece_by_chance(confidence: Floats) -> float:
    """The ECE that a perfectly calibrated network exceeds on one such set in twenty.

    Of few images the accuracy of a bin is a matter of chance, so that no ECE is ever 0. Hits are
    drawn with the confidences as their probabilities, which is the consistency resampling of
    Bröcker & Smith, "Increasing the reliability of reliability diagrams", 2007.
    """
    generator = np.random.default_rng(0)
    place, total = _binned(confidence, BINS)
    eces = []
    for _ in range(_DRAWS):
        right = generator.random(len(confidence)) < confidence
        hits = np.bincount(place[right], minlength=BINS)
        eces.append(np.abs(hits - total).sum() / len(confidence))
    return float(np.quantile(eces, 0.95))


def _binned(confidence: Floats, bins: int) -> tuple[Counts, NDArray[Any]]:
    """The bin of each image, ``(N,)``, and the sum of the confidences in each bin, ``(B,)``."""
    place = np.maximum(np.ceil(confidence * bins).astype(np.int64) - 1, 0)
    return place, np.bincount(place, weights=confidence, minlength=bins)


@dataclass(frozen=True)
class TemperatureFit:
    """What to divide logits by, above 1 where the network is too sure of itself.

    It was fitted on so many images, of which the network gets so many wrong.
    """

    temperature: float
    images: int
    mistakes: int

    @property
    def usable(self) -> bool:
        """Whether enough images give one inside the range that is searched, not cut off there."""
        inside = 1.001 * MIN_TEMPERATURE < self.temperature < MAX_TEMPERATURE / 1.001
        return inside and self.images >= MIN_FIT_IMAGES


def fit_temperature(logits: Floats, labels: Counts) -> TemperatureFit:
    """Find the temperature with the lowest log-loss (Guo et al. 2017, section 4.2).

    The loss is convex in 1 / temperature, so that a golden-section search finds its one minimum.
    """
    # Differences to the true logit: the log-loss without overflow or rounding to 0.
    gaps = logits - logits[np.arange(len(labels)), labels][:, None]

    def loss(log_temperature: float) -> float:
        scaled = gaps * math.exp(-log_temperature)
        peak = scaled.max(1)
        return float((peak + np.log(np.exp(scaled - peak[:, None]).sum(1))).mean())

    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    ratio = (math.sqrt(5) - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    loss_a, loss_b = loss(a), loss(b)
    while high - low > 1e-4:
        if loss_a < loss_b:
            high, b, loss_b = b, a, loss_a
            a = high - ratio * (high - low)
            loss_a = loss(a)
        else:
            low, a, loss_a = a, b, loss_b
            b = low + ratio * (high - low)
            loss_b = loss(b)
    mistakes = int((logits.argmax(1) != labels).sum())
    return TemperatureFit(math.exp((low + high) / 2), len(labels), mistakes)


def cross_fitted_temperatures(logits: Floats, labels: Counts) -> Floats:
    """For each image a temperature, ``(N,)``, that was fitted without it; N is 2 or more.

    A temperature looks too good on the images that it was fitted on. Each half, drawn at random,
    gets the temperature of the other one.
    """
    order = np.random.default_rng(0).permutation(len(labels))
    first, second = order[: len(order) // 2], order[len(order) // 2 :]
    temperatures = np.empty(len(labels))
    for own, others in ((first, second), (second, first)):
        temperatures[own] = fit_temperature(logits[others], labels[others]).temperature
    return temperatures
