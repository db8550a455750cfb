"""The verdict on the epoch that users take: that of the checkpoint which is kept."""

from math import hypot
from statistics import NormalDist

import numpy as np

from fishcnn.metrics.intervals import wilson_interval
from fishcnn.training.diagnosis.learning import FALSE_ALARMS, MIN_GAP
from fishcnn.training.diagnosis.reading import STANDARD_ERRORS, Run, first_applicable
from fishcnn.training.diagnosis.records import Verdict
from fishcnn.utils.text import counted, interval_95, percent


def checkpoint(run: Run) -> Verdict | None:
    """The kept checkpoint may be guessing, or another epoch was clearly more accurate.

    Both are told from noise without the answers to single images, which takes a larger difference
    than a comparison image by image would.
    """
    if run.kept is None:
        return None
    kept, best, last = run.kept, int(np.nanargmax(run.val_acc)), len(run.val_acc) - 1
    guess, better = _guess(run, kept), _is_better(run, best, kept)
    if not guess and not better:
        return None
    # A run that went on from its last checkpoint alone has not seen what came before.
    since = " since the run went on" if run.val_loss[kept] > np.nanmin(run.val_loss) else ""
    why = (
        f"the checkpoint that is kept is that of epoch {run.epochs[kept]}, whose validation loss "
        f"is the lowest{since}; its validation accuracy is {percent(run.val_acc[kept])}"
    )
    if guess:
        ends = wilson_interval(round(run.val_acc[kept] * run.images), run.images)
        why += (
            f" ({interval_95(ends)}), on {counted(run.images, 'image')} not distinguishable from "
            f"{guess}"
        )
    if better:
        why += (
            f", and that of epoch {run.epochs[best]} was {percent(run.val_acc[best])}: more "
            "answers were right there, but its loss is higher, which often means that the wrong "
            "ones were given with more certainty."
        )
        if run.epochs[last] == len(run.train_loss) and _is_better(run, last, kept):
            why += f" The last epoch is kept as well, in last.ckpt: {percent(run.val_acc[last])}."
    else:
        why += "."
    suggestions = first_applicable(
        (
            run.longer(),
            run.settings.lr > 0
            and not run.cut_short
            and (run.is_short or (run.falling and not better)),
        ),
        ("loss.label_smoothing=0.1", better and not run.settings.label_smoothing),
        (run.lower_lr(2), not run.is_short and run.settings.lr > 0),
    )
    return Verdict("checkpoint", why, suggestions)


def _guess(run: Run, at: int) -> str | None:
    """Which guesses are as good as a validation, in words; None where it is better than all.

    Where classes differ in size, always naming the largest is right more often than 1 / classes.
    A network that knows the small ones may not be right more often than that, but its macro F1 is
    above 1 / classes: as a mean of harmonic means of the shares of a class in labels and in
    answers, which sum to 1 each, that of answers that know nothing is not. It is the mean of the
    classes that have images.
    """
    low, _ = wilson_interval(round(run.val_acc[at] * run.images), run.images)
    if low <= run.chance:
        return f"guessing, which gives {percent(run.chance)}"
    largest = max(run.count, key=lambda name: run.count[name])
    share = run.count[largest] / run.images
    chance = 1 / sum(
        count > 0 for count in run.count.values()
    )  # F1 is of the classes that are there
    knows = run.val_f1[at] > chance + run.noise(chance)
    if low > share or knows:
        return None
    return f"always answering {largest}, which gives {percent(share)}"


def _is_better(run: Run, one: int, other: int) -> bool:
    """Whether a validation is more accurate than another beyond noise, and worth the words."""
    first, second = float(run.val_acc[one]), float(run.val_acc[other])
    # The more epochs there are, the higher chance alone lifts one of them.
    errors = NormalDist().inv_cdf(1 - FALSE_ALARMS / len(run.val_acc)) / STANDARD_ERRORS
    return first - second > max(MIN_GAP, errors * hypot(run.noise(first), run.noise(second)))
