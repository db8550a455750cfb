"""The temperature that calibrates a network: fitted, judged, and stored in the checkpoint."""

import io
import math
import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fishcnn.metrics.calibration import (
    MAX_TEMPERATURE,
    MIN_FIT_IMAGES,
    MIN_TEMPERATURE,
    TemperatureFit,
    cross_fitted_temperatures,
    fit_temperature,
    log_loss,
    reliability,
    softmax,
    true_class,
)
from fishcnn.metrics.classification import Counts, Floats
from fishcnn.models.checkpoint import verified_checkpoint
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import Unwritable, replacing
from fishcnn.utils.lock import locked
from fishcnn.utils.run_folder import RunFolder


@dataclass(frozen=True)
class CalibrationLine:
    """Calibration of the judged images at one temperature; the log-loss is in nats."""

    name: str
    temperature: float
    ece: float
    log_loss: float


@dataclass(frozen=True)
class Calibration:
    """What is known about the temperature.

    Attributes:
        lines: as it was, and with the fitted temperature.
        fitted: best temperature on the validation images; None if these were not looked at.
        stored: whether it is to be written into the checkpoint.
        temperature: of all other numbers of the evaluation.
    """

    lines: list[CalibrationLine]
    fitted: float | None
    stored: bool
    temperature: float
    remark: str


class Answers(NamedTuple):
    """What the network says of N images of known classes.

    Attributes:
        logits: ``(V, N, K)`` of V views, the first of which is the plain image.
        labels: int64 ``(N,)``.
    """

    logits: Floats
    labels: Counts

    def only(self, which: NDArray[np.bool_]) -> "Answers":
        """What it says of some of them, bool ``(N,)``."""
        return Answers(self.logits[:, which], self.labels[which])

    def probabilities(self, temperature: float | Floats) -> Floats:
        """``(N, K)`` means over the views, at one temperature or at ``(N, 1)``."""
        probabilities: Floats = softmax(self.logits, temperature).mean(0)
        return probabilities


def calibrate(
    judged: Answers, validation: Answers | None, before: float, *, store: bool
) -> Calibration:
    """Fit the temperature on the validation images, if these are looked at.

    Args:
        judged: of the images that are evaluated.
        validation: may be the same object; None to take the temperature as it is.
        before: temperature of the checkpoint.
        store: whether the user wants the fitted one to be stored, and so used; this is done only
            where it is better on images that it was not fitted on, beyond chance.
    """
    lines = [_line("stored", before, judged.probabilities(before), judged.labels)]
    if validation is None:
        remark = "The temperature is that of the checkpoint."
        return Calibration(lines, None, False, before, remark)
    fit = fit_temperature(validation.logits[0], validation.labels)
    best = fit.temperature
    if not fit.usable:
        return Calibration(lines, best, False, before, _unusable(fit))
    name, temperatures = "fitted", np.full(len(judged.labels), best)
    if validation is judged:
        # On the images that it was fitted on a temperature looks too good.
        name = "cross-fitted: each half judged with the temperature of the other half"
        temperatures = cross_fitted_temperatures(judged.logits[0], judged.labels)
    lines.append(_line(name, best, judged.probabilities(temperatures[:, None]), judged.labels))
    remark = f"The best temperature on {fit.images} validation images is {best:.3f}."
    if math.isclose(best, before, rel_tol=1e-3):
        return Calibration(lines, best, False, before, f"{remark} The checkpoint already has it.")
    gain = _gain(validation, before)
    if not gain.sure:
        changes = "lowers" if gain.mean > 0 else "raises"
        chance = ", which may be chance" if abs(gain.mean) <= gain.margin else ""
        remark += (
            f" On images that it was not fitted on, it {changes} the log-loss by "
            f"{abs(gain.mean):.3f} ± {gain.margin:.3f}{chance}. The temperature stays as it is."
        )
        return Calibration(lines, best, False, before, remark)
    if store:
        remark += " It is now stored in the checkpoint, and all predictions use it."
        return Calibration(lines, best, True, best, remark)
    remark += " Add calibrate=true to store it in the checkpoint, for all later predictions."
    return Calibration(lines, best, False, before, remark)


class _Gain(NamedTuple):
    """By how much a fit lowers the log-loss of an image, and the half width of its 95% interval."""

    mean: float
    margin: float

    @property
    def sure(self) -> bool:
        return self.mean > self.margin


def _gain(validation: Answers, before: float) -> _Gain:
    """What a fitted temperature gains over another one, on images that it was not fitted on."""
    temperatures = cross_fitted_temperatures(validation.logits[0], validation.labels)
    losses = (
        -np.log(np.maximum(true_class(validation.probabilities(t), validation.labels), 1e-300))
        for t in (np.full((len(temperatures), 1), before), temperatures[:, None])
    )
    gains = np.subtract(*losses)
    return _Gain(float(gains.mean()), 1.96 * float(gains.std(ddof=1)) / math.sqrt(len(gains)))


def _line(name: str, temperature: float, probabilities: Floats, labels: Counts) -> CalibrationLine:
    right = probabilities.argmax(1) == labels
    ece = reliability(probabilities.max(1), right).ece
    return CalibrationLine(name, temperature, ece, log_loss(probabilities, labels))


def _unusable(fit: TemperatureFit) -> str:
    if fit.images < MIN_FIT_IMAGES:
        return (
            f"A temperature takes {MIN_FIT_IMAGES} validation images to fit, and there are only "
            f"{fit.images}. It stays as it is."
        )
    return (
        f"On {fit.images} validation images, {fit.mistakes} of them mistakes, no temperature "
        f"between {MIN_TEMPERATURE:g} and {MAX_TEMPERATURE:g} is the best one: there are too few "
        "mistakes to learn from, or the network has learned nothing. It stays as it is."
    )


def store_temperature(checkpoint: Path, temperature: float, *, held: Path | None = None) -> None:
    """Write a temperature into a checkpoint; everything else in it stays as it is.

    The file is replaced in one step, so that it is whole even if the power fails. It keeps its time
    of change, by which the latest run is found.

    Args:
        checkpoint: of any run, which no training writes meanwhile.
        temperature: to store.
        held: a folder that this process has locked already.

    Raises:
        FishError: the file cannot be written, or its run is still being trained.
    """
    run = RunFolder.of(checkpoint)
    place = run.path if run else checkpoint  # as training locks it
    ours = held is not None and held.resolve() == place.resolve()
    try:
        with nullcontext() if ours else locked(place):
            content = verified_checkpoint(checkpoint)
            content["state_dict"]["temperature"] = torch.tensor(temperature, dtype=torch.float32)
            file = io.BytesIO()
            torch.save(content, file)
            with replacing(checkpoint, wanted=file.tell()) as unfinished:
                unfinished.write_bytes(file.getbuffer())
                shutil.copystat(checkpoint, unfinished)
    except Unwritable as error:
        raise FishError(
            f"calibrate=true: {error}. Or copy its run folder to a place where you may write, and "
            "name that by ckpt="
        ) from error
