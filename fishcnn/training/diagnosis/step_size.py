"""Verdicts on the size of the optimizer's steps."""

from math import sqrt

import numpy as np

from fishcnn.training.diagnosis.reading import (
    HIGH_SKILL,
    MIN_EPOCHS,
    MIN_VALIDATIONS,
    STANDARD_ERRORS,
    Array,
    Run,
    first_applicable,
    number,
    running_median,
)
from fishcnn.training.diagnosis.records import Verdict
from fishcnn.utils.text import percent

STUCK_LOSS = 0.97  # share of ln(classes); a network that learns falls below it within an epoch
WARM_EPOCHS = 3  # a warm-up and batch norm's first statistics may hold a good run at chance
LARGE_LR = 1e-3  # Adam's usual value for a small CNN: from here up, suspect the step size first
BLOWN_UP = 2.0  # times ln(classes); even the first batches stay far below
JUMP = 0.15  # of the loss; batch norm and small batches alone move it by 5 to 10%
MIN_JUMPS = 3  # one or two spikes may be chance
FLAT = 0.02  # of the loss; 2% within a third of a run are not worth the time


def diverged(run: Run) -> Verdict | None:
    """A loss that is infinite or not a number."""
    for values, numbers, what in (
        (run.train_loss, np.arange(1, len(run.train_loss) + 1), "training loss in epoch"),
        (run.val_loss, run.epochs, "validation loss in epoch"),
        (run.step_loss, np.arange(1, len(run.step_loss) + 1), "training loss at logged step"),
    ):
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            why = (
                f"the {what} {numbers[bad[0]]} is not a number ({values[bad[0]]}): with "
                f"optimizer.lr={number(run.settings.lr)} the steps grew until they overflowed."
            )
            return Verdict("learning rate too high", why, (run.lower_lr(10),))
    return None


def stuck(run: Run) -> Verdict | None:
    """Large steps, and a training loss that never left that of guessing."""
    peak = float(np.nanmax(run.lr, initial=run.settings.lr))
    if len(run.train_loss) < MIN_EPOCHS or not run.epochs.size or peak < run.lr_scale * LARGE_LR:
        return None
    lowest = float(run.train_loss[WARM_EPOCHS:].min())
    ended = min(float(run.train_loss[-run.tail :].mean()), run.end(run.val_loss))
    if ended < STUCK_LOSS * run.ln_classes or not run.at_chance:
        return None
    why = (
        f"training loss was never below {lowest:.2f} after epoch {WARM_EPOCHS} and ended at "
        f"{run.train_loss[-1]:.2f}, no better than guessing (a loss of "
        f"{run.ln_classes:.2f}): with steps as large as {number(peak)} the network jumps over "
        "every good solution."
    )
    return Verdict("learning rate too high", why, (run.lower_lr(10),))


def blown_up(run: Run) -> Verdict | None:
    """A loss that rose far above that of guessing early in the fit."""
    early = run.step_loss[: max(10, len(run.step_loss) // 3)]
    if len(early) < 10:
        return None
    smooth = running_median(early, 5)  # one odd batch is not a trend
    top = int(smooth.argmax())
    # ln 2 is so small that an ordinary bad batch doubles it: ask for a whole nat as well.
    limit = max(BLOWN_UP * run.ln_classes, run.ln_classes + 1)
    if smooth[top] < limit or smooth[top] < 1.5 * early[0]:
        return None
    why = (
        f"training loss rose early on from {early[0]:.2f} to {smooth[top]:.2f} (near logged "
        f"step {top + 1}), while {run.guessing}: the first steps with "
        f"optimizer.lr={number(run.settings.lr)} were too large."
    )
    return Verdict("learning rate too high", why, (run.lower_lr(3),))


def unstable(run: Run) -> Verdict | None:
    """A validation loss that still jumps up and down at the end."""
    # Only the end is judged: jumps that settle as the learning rate falls are how training goes.
    first = len(run.val_loss) - max(5, len(run.val_loss) // 3)
    loss, epochs = run.val_loss[max(0, first) :], run.epochs[max(0, first) :]
    allowed = max(JUMP, STANDARD_ERRORS / sqrt(max(1, run.images)))
    steps = np.diff(loss)
    large = np.abs(steps) > allowed * np.median(loss)
    # Up and then down, or down and then up: a steady rise or fall is a trend, not a jump.
    turns = int((large[1:] & large[:-1] & (steps[1:] * steps[:-1] < 0)).sum())
    if turns < max(MIN_JUMPS, len(loss) / 5):
        return None
    at = int(np.abs(steps).argmax())
    why = (
        f"validation loss turned sharply {turns} times in the last {len(loss)} validations, each "
        f"time by more than {percent(allowed, 0)}; the largest jump was from {loss[at]:.2f} (epoch "
        f"{epochs[at]}) to {loss[at + 1]:.2f} (epoch {epochs[at + 1]})."
    )
    return Verdict("unstable", why, (run.lower_lr(2),))


def plateau(run: Run) -> Verdict | None:
    """Flat curves while the learning rate is still high."""
    window = max(8, len(run.train_loss) // 3)
    started = len(run.train_loss) - window
    if started < window or run.lr_decayed:
        return None
    recent = run.val_loss[run.epochs > started]
    if len(recent) < MIN_VALIDATIONS or run.at_chance or run.skill >= HIGH_SKILL:
        return None
    # A rising training loss is not a plateau either, so the size counts and not the sign.
    if abs(_change(run.train_loss[started:])) > FLAT or abs(_change(recent)) > 2 * FLAT:
        return None
    why = (
        f"training loss stayed at {run.train_loss[started:].mean():.2f} and validation loss at "
        f"{recent.mean():.2f} from epoch {started + 1} to {len(run.train_loss)}, although the "
        f"learning rate was still {number(run.lr[-1])}: smaller steps may bring it further down."
    )
    # Steps that shrink with every epoch are planned over max_epochs.
    planned = bool((np.diff(run.lr[-5:]) < 0).all())
    suggestions = first_applicable(
        # A schedule cut off half-way never came to its small steps.
        (f"trainer.max_epochs={len(run.train_loss)}", planned and run.cut_short),
        (run.lower_lr(3), True),
    )
    return Verdict("plateau", why, suggestions)


def _change(values: Array) -> float:
    """How far the second half's mean lies from the first half's, relative to the latter."""
    half = len(values) // 2
    before = float(values[:half].mean())
    return (float(values[-half:].mean()) - before) / max(abs(before), 1e-12)
