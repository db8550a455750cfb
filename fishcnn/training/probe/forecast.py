"""What twice the images would bring, by a power law, and whether that can be said at all."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fishcnn.metrics.power_law import fit_power_laws
from fishcnn.training.probe.learning_curve import HALF, Trials, draws_for, run_trials
from fishcnn.training.probe.out_of_fold import ProbedImages
from fishcnn.utils.text import percent

Floats = NDArray[np.float64]
Ends = tuple[float, float]

_SAMPLES = 1000
_QUANTILES = (0.025, 0.975)
# Of fitted laws, so many may say that accuracy does not rise with the number of images.
_MOST_FLAT = 0.025
# The interval of the accuracy of fewer images is more than 20 points wide.
FEWEST_IMAGES = 100
# A law needs parts of clearly different sizes; each has an image of each class and whole groups.
_FEWEST_PER_CLASS, _LEAST_RANGE = 5, 3.0
# In points. An interval that is wider than this says nothing that helps to decide; and below this
# much, a gain is none.
_WIDEST, _NOTHING = 15.0, 1.5
_STEPS = 30


@dataclass(frozen=True)
class Forecast:
    """A learning curve, and where it leads.

    Attributes:
        sizes: float64 ``(F,)``, numbers of training images.
        accuracy: float64 ``(F,)`` of held-out images.
        interval: float64 ``(2, F)``, its 95% interval.
        ahead: float64 ``(G,)``, numbers of training images up to twice as many.
        expected: float64 ``(G,)``, accuracies there by the law that fits best.
        expected_interval: float64 ``(2, G)``.
        gain: what twice the images would bring, a difference of accuracies.
        gain_interval: its 95% interval.
        problem: why it cannot be said what they would bring; empty where it can.
    """

    sizes: Floats
    accuracy: Floats
    interval: Floats
    ahead: Floats
    expected: Floats
    expected_interval: Floats
    gain: float
    gain_interval: Ends
    problem: str

    def sentences(self) -> list[str]:
        """What twice the images would bring, and what was measured."""
        if self.problem:
            first = f"What twice the images would bring cannot be said: {self.problem}."
        else:
            low, high = (max(end, 0.0) for end in self.gain_interval)
            if 100 * high < _NOTHING:
                first = "Twice the images would bring hardly anything: at most "
                first += f"{_points(high, 1)} points of accuracy more."
            else:
                points = round(100 * self.gain)
                first = f"Twice the images: about {points:+} point{'s' * (points != 1)} of "
                first += f"accuracy (95% interval {_points(low)} to {_points(high)})."
        if not len(self.sizes):
            return [first]
        lower, upper = (percent(float(end), 0) for end in self.interval[:, -1])
        half, whole = (percent(float(self.accuracy[place]), 0) for place in (HALF, -1))
        return [
            first,
            f"After training on {self.sizes[-1]:,.0f} images, a probe is right about {whole} of "
            f"the others ({lower} to {upper}); after {self.sizes[HALF]:,.0f}, about {half}.",
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain lists and numbers."""
        measured = zip(self.sizes, self.accuracy, *self.interval, strict=True)
        ahead = zip(self.ahead, self.expected, *self.expected_interval, strict=True)
        names = ("training_images", "accuracy", "low", "high")
        return {
            "measured": [dict(zip(names, map(float, one), strict=True)) for one in measured],
            "expected": [dict(zip(names, map(float, one), strict=True)) for one in ahead],
            "twice_the_images": None
            if self.problem
            else dict(zip(("gain", "low", "high"), (self.gain, *self.gain_interval), strict=True)),
            "sentences": self.sentences(),
        }


def too_few(labels: NDArray[np.int64]) -> str:
    """Say why no learning curve can be measured of images with these labels; empty if one can."""
    if len(labels) < FEWEST_IMAGES:
        return f"{len(labels)} images are too few, {FEWEST_IMAGES} are the least"
    per_class = len(labels) / len(np.unique(labels))
    if per_class < _FEWEST_PER_CLASS:
        return f"{per_class:.1f} images of a class are too few, {_FEWEST_PER_CLASS} are the least"
    return ""


def forecast(images: ProbedImages) -> Forecast:
    """Measure a learning curve, fit a power law to it and follow that to twice the images."""
    labels = images.labels.cpu().numpy()
    if problem := too_few(labels):
        return unsaid(problem)
    return follow(run_trials(images, draws_for(len(labels))), labels, images.groups)


def follow(trials: Trials, labels: NDArray[np.int64], groups: NDArray[np.int64]) -> Forecast:
    """Follow what was measured; labels and groups, int64 ``(n,)``, are those of all images.

    Every sample of images and training parts gets its own law.
    """
    sizes = trials.sizes
    if not len(sizes) or sizes[-1] < _LEAST_RANGE * sizes[0]:
        return unsaid("too many images are near-duplicates of each other")
    accuracies = trials.accuracies(groups, _SAMPLES)
    majority = float(np.bincount(labels).max() / len(labels))
    # One class alone leaves nothing to chance.
    laws = fit_power_laws(sizes, 1 - accuracies, max(1 - majority, 1 / len(labels)))
    ahead = np.linspace(sizes[-1], 2 * sizes[-1], _STEPS)
    expected = 1 - laws.errors(ahead)
    gains = expected[:, -1] - expected[:, 0]
    low, high = np.quantile(gains[1:], _QUANTILES).tolist()
    interval = np.quantile(accuracies[1:], _QUANTILES, axis=0)
    problem = ""
    if interval[0, -1] <= majority:
        problem = "a probe is not surely better than naming the largest class every time"
    elif high >= _NOTHING / 100:
        if np.mean(laws.scale[1:] == 0) > _MOST_FLAT:
            problem = "accuracy does not surely rise with the number of training images"
        elif high - low > _WIDEST / 100:
            problem = f"anything from {_points(low)} to {_points(high)} points of accuracy fits"
            problem += " what was measured"
    return Forecast(
        sizes,
        accuracies[0],
        interval,
        ahead,
        expected[0],
        np.quantile(expected[1:], _QUANTILES, axis=0),
        float(gains[0]),
        (low, high),
        problem,
    )


def unsaid(problem: str) -> Forecast:
    """A forecast of nothing but the reason why there is none."""
    none, ends = np.empty(0), np.empty((2, 0))
    return Forecast(none, none, ends, none, none, ends, 0.0, (0.0, 0.0), problem)


def _points(share: float, digits: int = 0) -> str:
    """A share in percentage points, without their sign."""
    return percent(share, digits).removesuffix("%")
