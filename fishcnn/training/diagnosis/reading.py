"""The numbers that more than one verdict reads off the curves, and how they are written."""

from functools import cached_property
from math import log, sqrt

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fishcnn.training.diagnosis.records import Curves, Settings
from fishcnn.utils.text import counted, percent

Array = NDArray[np.float64]

MIN_EPOCHS = 6  # a straight line fits a curve of fewer epochs as well
MIN_VALIDATIONS = 4  # a lowest point needs neighbours on both sides
STANDARD_ERRORS = 2.0  # chance alone exceeds two standard errors in about one run of twenty
LOW_SKILL = 0.5  # skill: 0 is guessing, 1 is every image right
HIGH_SKILL = 0.95  # nothing is left to learn: a flat curve is success
LR_STILL_HIGH = 0.25  # share of the peak; below it the schedule itself flattens the curves
STILL_FALLING = 0.03  # of the training loss within a fifth of the run: training is not done yet
MAX_SUGGESTIONS = 3
FEW_IMAGES = 5000  # with fewer, features that were learnt elsewhere beat those learnt here
LR_SCALE = {"adamw": 1.0, "adam": 1.0, "sgd": 30.0}  # SGD's usual 0.03 does what Adam's 1e-3 does


class Run:
    """The curves as arrays, and the numbers that more than one check needs.

    ``val_*`` and ``epochs`` hold the validated epochs only; ``fit_*`` the training curves there.
    """

    def __init__(self, curves: Curves, settings: Settings) -> None:
        self.settings = settings
        self.train_loss = np.asarray(curves.train_loss, dtype=np.float64)
        self.lr = np.asarray(curves.learning_rate, dtype=np.float64)
        self.step_loss = np.asarray(curves.step_loss, dtype=np.float64)
        val_loss = np.asarray(curves.val_loss, dtype=np.float64)
        val_acc = np.asarray(curves.val_acc, dtype=np.float64)
        # A diverged network has a NaN loss too, but it still has an accuracy.
        ran = np.flatnonzero(~(np.isnan(val_loss) & np.isnan(val_acc)))
        self.epochs = ran + 1
        self.val_loss, self.val_acc = val_loss[ran], val_acc[ran]
        self.val_f1 = np.asarray(curves.val_f1, dtype=np.float64)[ran]
        self.fit_loss = self.train_loss[ran]
        self.fit_acc = np.asarray(curves.train_acc, dtype=np.float64)[ran]
        self.recall, self.count = curves.val_recall, curves.val_count
        self.lr_scale = LR_SCALE[settings.optimizer]
        self.classes = len(curves.val_recall)
        self.images = sum(curves.val_count.values())
        self.train_images = curves.train_images
        kept = np.flatnonzero((self.epochs == curves.kept_epoch) & np.isfinite(self.val_acc))
        self.kept = int(kept[0]) if kept.size and self.images else None  # its place in val_*
        self.chance = 1 / self.classes
        self.ln_classes = log(self.classes)
        self.guessing = f"guessing gives a loss of {self.ln_classes:.2f}"
        # Long enough to average, short enough to be now.
        self.tail = min(10, max(3, len(ran) // 10))

    def end(self, values: Array) -> float:
        """Mean of the last few validated epochs."""
        return float(values[-self.tail :].mean())

    def noise(self, accuracy: float) -> float:
        """Two standard errors of a validation accuracy.

        Averaging over epochs does not shrink it: they all see the same images. One success and
        one failure are added (Laplace), so that 10 right of 10 do not count as certainty.
        """
        p = (accuracy * self.images + 1) / (self.images + 2)
        return STANDARD_ERRORS * sqrt(p * (1 - p) / max(1, self.images))

    @cached_property
    def at_chance(self) -> bool:
        """Whether the network does no better than guessing."""
        # The two standard errors are those of pure guessing; training images are many, and
        # memorising them is not guessing.
        skill = (self.end(self.fit_acc) - self.chance) / (1 - self.chance)
        return skill < 0.1 and self.end(self.val_acc) <= self.chance + self.noise(self.chance)

    @cached_property
    def skill(self) -> float:
        """Accuracy at the end, on a scale where 0 is guessing and 1 is every image right."""
        # The larger of the two, because training accuracy is measured on harder images.
        level = max(self.end(self.fit_acc), self.end(self.val_acc))
        return (level - self.chance) / (1 - self.chance)

    @cached_property
    def falling(self) -> bool:
        """Whether training loss was still on its way down at the end."""
        last = max(3, len(self.train_loss) // 5)
        before, now = self.train_loss[-2 * last : -last].mean(), self.train_loss[-last:].mean()
        return bool(before - now > STILL_FALLING * before)

    @property
    def is_short(self) -> bool:
        """Whether there are too few epochs or validations to see where the curves are going."""
        return len(self.train_loss) < MIN_EPOCHS or len(self.epochs) < MIN_VALIDATIONS

    @property
    def cut_short(self) -> bool:
        """Whether the fit ended before its last planned epoch."""
        return len(self.train_loss) < self.settings.max_epochs

    @cached_property
    def lr_decayed(self) -> bool:
        """Whether the schedule had brought the learning rate down at the end."""
        return bool(self.lr[-1] < LR_STILL_HIGH * self.lr.max())

    def last_epochs(self) -> str:
        """The epochs over which :meth:`end` averages."""
        return f"epochs {self.epochs[-self.tail]} to {self.epochs[-1]}"

    def over_the_last(self) -> str:
        """The same, counted from the end of the run."""
        count = len(self.epochs[-self.tail :])
        of_each = self.epochs[-count] + count - 1 == len(self.train_loss)
        return f"over the last {counted(count, 'epoch' if of_each else 'validation')}"

    def lower_lr(self, divisor: float) -> str:
        """Override for a smaller learning rate."""
        return f"optimizer.lr={rounded(self.settings.lr / divisor)}"

    def longer(self) -> str:
        """Override for twice as many epochs."""
        return f"trainer.max_epochs={2 * self.settings.max_epochs}"

    def harder(self) -> str:
        """Why training accuracy may lie below validation accuracy, or nothing."""
        reasons = (
            ("strong augmentation", self.settings.augment in ("strong", "mixed")),
            ("mixed images", self.settings.mixing),
            ("dropout", bool(self.settings.dropout)),
        )
        names = " and ".join(name for name, on in reasons if on)
        if not names or self.end(self.fit_acc) >= self.end(self.val_acc):
            return ""
        return f"; training accuracy is the lower one because training is made harder by {names}"


def running_median(values: Array, width: int) -> Array:
    """Median in a centred window of odd width; beyond the ends their values are repeated."""
    padded = np.pad(values, width // 2, mode="edge")
    return np.asarray(np.median(sliding_window_view(padded, width), axis=-1))


def first_applicable(*candidates: tuple[str, bool]) -> tuple[str, ...]:
    """The first overrides that apply."""
    return tuple(override for override, applies in candidates if applies)[:MAX_SUGGESTIONS]


def number(value: float) -> str:
    """Two digits at most, as people write step sizes: 3e-4, 1.5e-3, 0.05."""
    if value == 0 or value >= 0.01:
        return f"{value:.2g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def rounded(value: float) -> str:
    """One digit: nobody tries a learning rate of 3.3e-4."""
    return number(float(f"{value:.0e}"))


def points(difference: float) -> str:
    """A difference of two shares of 0..1."""
    return f"{percent(difference, 0)[:-1]} points"
