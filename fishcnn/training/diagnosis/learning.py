"""Verdicts on what the network has learnt."""

import numpy as np

from fishcnn.training.diagnosis.reading import (
    FEW_IMAGES,
    HIGH_SKILL,
    LOW_SKILL,
    MIN_EPOCHS,
    MIN_VALIDATIONS,
    Run,
    first_applicable,
    points,
    rounded,
    running_median,
)
from fishcnn.training.diagnosis.records import Verdict
from fishcnn.utils.text import percent

VAL_LOSS_RISE = 0.15  # a well-trained network that grows more confident rises by less
TRAIN_ACC_RISE = 0.05  # a network that has stopped learning gains less
MIN_GAP = 0.05  # every network does a little better on the images that it was trained on
STALL_GAP = 0.15  # a flat validation loss is a weaker sign than a rising one: ask for more
STALL_BAND = 0.03  # within 3% of its lowest value, validation loss has stopped improving
MIN_STALL = 1 / 3  # share of the run; a shorter stall is how every schedule ends
SMALL_LR = 3e-4  # below it, a network trained from random weights only crawls
FALSE_ALARMS = 0.05  # share of runs in which chance alone may accuse any of the classes
STILL_CLIMBING = 0.05  # of ln(classes) within a fifth of a run; a settled loss falls by less
MAX_FEW_SKILL = 0.8  # a network that does better from random weights had enough images
MAX_NAMES = 5  # nobody reads a longer list of classes
MIN_BLOCKS = 2  # one block sees edges and colours but no shapes
MAX_BLOCKS = 5  # five halvings make an image of 32 pixels one pixel wide
# Beyond, decay outweighs what a small data set teaches. AdamW's is multiplied by the learning
# rate; that of the others enters the gradient.
MAX_WEIGHT_DECAY = {"adamw": 0.1, "adam": 1e-3, "sgd": 1e-3}


def overfitting(run: Run) -> Verdict | None:
    """Training images are memorised while validation loss rises or stalls."""
    smooth = running_median(run.val_loss, 3)
    low = int(smooth.argmin())
    end, gap = run.end(run.val_loss), run.end(run.fit_acc) - run.end(run.val_acc)
    noise = run.noise(run.end(run.val_acc))
    scatter = float(np.median(np.abs(np.diff(run.val_loss))))
    rises = end - smooth[low] > max(VAL_LOSS_RISE * smooth[low], 2 * scatter)
    stalled = int((smooth <= smooth[low] + max(STALL_BAND * smooth[low], 2 * scatter)).argmax())
    stalls = len(smooth) - stalled >= MIN_STALL * len(smooth) and gap > STALL_GAP
    since = low if rises else stalled
    acc_then, acc_now = running_median(run.fit_acc, 3)[since], run.end(run.fit_acc)
    # At the top accuracy has no room to rise, but a halved loss shows the memorising. Smoothed
    # labels are subtracted: even a perfect answer costs their entropy.
    loss = run.fit_loss - _entropy(run.settings.label_smoothing, run.classes)
    memorises = acc_now > acc_then - 0.01 and run.end(loss) < loss[since] / 2
    if not (
        (acc_now - acc_then > TRAIN_ACC_RISE or memorises)
        and gap > max(noise, MIN_GAP)
        and (rises or stalls)
    ):
        return None
    if rises:
        near = slice(max(0, low - 1), low + 2)
        lowest = near.start + int(run.val_loss[near].argmin())
        then = (
            f"rose from its lowest {run.val_loss[lowest]:.2f} (epoch {run.epochs[lowest]}) to "
            f"{end:.2f} ({run.last_epochs()})"
        )
    else:
        then = f"has hardly improved since epoch {run.epochs[since]} ({end:.2f} at the end)"
    learnt = f"training accuracy rose from {percent(acc_then)} to {percent(acc_now)}"
    if acc_now - acc_then <= TRAIN_ACC_RISE:
        losses = f"{run.fit_loss[since]:.2g} to {run.end(run.fit_loss):.2g}"
        learnt = f"training loss fell from {losses} at training accuracy {percent(acc_now)}"
    why = (
        f"{learnt} while validation loss {then}; validation accuracy averaged "
        f"{percent(run.end(run.val_acc))} {run.over_the_last()}, a gap of {points(gap)}; with "
        f"{run.images} images, chance explains {points(noise)}."
    )
    now = run.settings
    blocks = now.blocks or 0
    most = MAX_WEIGHT_DECAY[now.optimizer]
    decay = min(most, max(1e-4, 10 * now.weight_decay))
    # A rising loss without a falling accuracy: the same mistakes, made with more certainty.
    surer = run.end(run.val_acc) >= run.val_acc[since] and not now.label_smoothing
    suggestions = first_applicable(
        ("augment=strong", now.augment not in ("strong", "mixed")),
        ("augment=mixed", now.augment == "strong" and not now.mixing),
        (f"model.blocks={blocks - 1}", blocks > MIN_BLOCKS),
        ("loss.label_smoothing=0.1", surer),
        ("model.head=gap", now.head == "flatten"),
        ("model.dropout=0.5", now.dropout is not None and now.dropout < 0.5),
        (f"optimizer.weight_decay={rounded(decay)}", now.weight_decay < most),
        ("callbacks.early_stopping.enabled=true", not now.early_stopping),
    )
    if not suggestions:
        why += " Every remedy known here is already in use; what helps now is more images."
    return Verdict("overfitting", why, suggestions)


def underfitting(run: Run) -> Verdict | None:
    """Low accuracy on training and on validation images."""
    if run.skill >= LOW_SKILL and not run.at_chance:
        return None
    train, val = run.end(run.fit_acc), run.end(run.val_acc)
    if run.at_chance:
        what = (
            f"the network has learnt nothing yet: validation accuracy averaged {percent(val)} "
            f"{run.over_the_last()} and guessing gives {percent(run.chance)}; training loss ended "
            f"at {run.train_loss[-1]:.2f} and {run.guessing}"
        )
    else:
        what = (
            f"training accuracy averaged only {percent(train)} and validation accuracy "
            f"{percent(val)} {run.over_the_last()} (guessing gives {percent(run.chance)})"
            f"{run.harder()}"
        )
    now = run.settings
    stopped = now.early_stopping and run.cut_short
    if run.falling:
        what += "; training loss was still falling, so it needs more time"
    elif run.lr_decayed:
        what += "; the learning rate had fallen too low before the task was learnt"
    else:
        what += "; training loss had stopped falling, so more of the same will not help"
    if now.blocks is None:
        what += f"; a network larger than {now.model} may also help"
    suggestions = first_applicable(
        ("callbacks.early_stopping.enabled=false", run.falling and stopped),
        (run.longer(), run.falling and not stopped),
        (f"optimizer.lr={rounded(now.lr * 3)}", now.lr < run.lr_scale * SMALL_LR),
        (f"model.blocks={(now.blocks or 0) + 1}", 0 < (now.blocks or 0) < MAX_BLOCKS),
        (run.longer(), not run.falling and run.lr_decayed and not stopped),
        ("augment=strong", now.augment == "mixed"),
        ("augment=seed", now.augment == "strong"),
        ("model.dropout=0.1", (now.dropout or 0) > 0.1),
        (
            f"optimizer.weight_decay={rounded(now.weight_decay / 10)}",
            now.weight_decay >= MAX_WEIGHT_DECAY[now.optimizer] / 2,
        ),
    )
    return Verdict("underfitting", what + ".", suggestions)


def class_ignored(run: Run) -> Verdict | None:
    """A class of which no validation image was recognised, which chance does not explain."""
    if run.at_chance:
        return None
    # Half the average recall is a modest demand. A class that met it would still show no hit
    # in (1 - half) ** n of all runs; with many classes, chance hits one of them more often.
    half = float(run.val_acc[-1]) / 2
    by_chance = {name: (1 - half) ** n for name, n in run.count.items() if run.recall[name] == 0}
    missed = [name for name, p in by_chance.items() if p < FALSE_ALARMS / run.classes]
    if not missed:
        return None
    missed.sort(key=lambda name: -run.count[name])
    names = ", ".join(f"{name} (0 of {run.count[name]})" for name in missed[:MAX_NAMES])
    if len(missed) > MAX_NAMES:
        names += f" and {len(missed) - MAX_NAMES} more"
    least = min(run.count[name] for name in missed)
    share = (1 - half) ** least
    chance = percent(share) if share >= 1e-3 else "less than 0.1%"
    why = (
        f"no validation image of {names} was recognised, while overall accuracy is "
        f"{percent(run.val_acc[-1])}. Chance hardly explains it: of a class recognised half as "
        f"often as the average, all of {least} images would be missed in "
        f"{chance} of runs. Look at the training images of that class: are "
        "they few, mislabelled, or like those of another class?"
    )
    suggestions = first_applicable(
        (run.longer(), run.falling and run.skill < HIGH_SKILL),
        # Harder images help a network that learns the other classes well, and only that one.
        (
            "augment=strong",
            run.settings.augment not in ("strong", "mixed") and run.skill >= LOW_SKILL,
        ),
    )
    return Verdict("class ignored", why, suggestions)


def few_images(run: Run) -> Verdict | None:
    """Random weights, few photographs and a low validation accuracy."""
    now = run.settings
    val = run.end(run.val_acc)
    enough = run.train_images >= FEW_IMAGES
    if now.pretrained or now.rendered or enough:
        return None
    if (val - run.chance) / (1 - run.chance) >= MAX_FEW_SKILL:
        return None
    why = (
        f"{run.train_images} training images are few for a network that begins with random "
        f"weights, and validation accuracy averaged {percent(val)} {run.over_the_last()}. With "
        "fewer than some thousand images, begin with experiment=probe, which takes a network that "
        "has seen a million others."
    )
    return Verdict("few images", why, ("experiment=probe",))


def only_probed(run: Run) -> Verdict:
    """Nothing was trained: the head is as the probe has found it."""
    why = (
        f"the learning rate is 0, so that the head is the linear classifier that it began with: "
        f"{run.end(run.val_acc):.2f} of the validation images are right, and "
        f"{run.end(run.fit_acc):.2f} of the training images. Training all layers from here on "
        "usually gains a few points more."
    )
    return Verdict("probe", why, ("experiment=finetune",))


def too_short(run: Run) -> Verdict:
    """Too few epochs or validations for any other finding."""
    epochs, validations = len(run.train_loss), len(run.epochs)
    why = (
        f"{epochs} epoch{'s' * (epochs != 1)} with {validations} "
        f"validation{'s' * (validations != 1)} cannot show where the curves are going; "
        f"it takes at least {MIN_EPOCHS} epochs with {MIN_VALIDATIONS} validations."
    )
    unfinished = run.cut_short and epochs < MIN_EPOCHS
    if unfinished:
        why += " Let the run finish."
    suggestions = first_applicable(
        ("callbacks.early_stopping.enabled=false", unfinished and run.settings.early_stopping),
        ("trainer.check_val_every_n_epoch=1", validations < epochs and not unfinished),
        # Five times as many show a shape and not only a slope.
        (f"trainer.max_epochs={5 * MIN_EPOCHS}", epochs < MIN_EPOCHS and not unfinished),
    )
    return Verdict("too short", why, suggestions)


def still_climbing(run: Run) -> Verdict | None:
    """Validation still improves fast, and nobody can tell yet where it would settle."""
    fifth = max(2, len(run.val_loss) // 5)
    smooth = running_median(run.val_loss, 3)
    before, now = float(smooth[-1 - fifth]), float(smooth[-1])
    if before - now < STILL_CLIMBING * run.ln_classes:
        return None
    why = (
        f"validation loss still fell from {before:.2f} to {now:.2f} within the last {fifth} "
        f"validations, and validation accuracy rose to {percent(run.val_acc[-1])}: the run "
        "ended before it had settled."
    )
    return Verdict("too short", why, (run.longer(),))


def fine(run: Run) -> Verdict:
    """No other finding."""
    val = run.end(run.val_acc)
    why = (
        f"nothing looks wrong: in {run.last_epochs()} training accuracy averaged "
        f"{percent(run.end(run.fit_acc))} and validation accuracy {percent(val)} (give or take "
        f"{points(run.noise(val))} with {run.images} images){run.harder()}."
    )
    # Early stopping would end a run with more epochs at the same one.
    stopped = run.cut_short and run.settings.early_stopping
    room = run.falling and run.skill < HIGH_SKILL and not stopped
    if room:
        why += " Training loss was still falling, so a longer run may do better."
    return Verdict("fine", why, first_applicable((run.longer(), room)))


def _entropy(smoothing: float, classes: int) -> float:
    """Entropy in nats of a smoothed label (Szegedy et al. 2016): the lowest possible loss."""
    others = smoothing / classes
    shares = np.array([1 - smoothing + others, *[others] * (classes - 1)])
    return float(-(shares * np.log(np.maximum(shares, 1e-12))).sum())
