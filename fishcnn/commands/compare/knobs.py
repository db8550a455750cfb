"""Which setting has mattered: what each did on average over the runs of a board."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fishcnn.commands.compare.configurations import Board, once_each
from fishcnn.commands.compare.found_runs import FoundRun
from fishcnn.commands.compare.varied import (
    FOLD,
    SPLIT_SEED,
    in_words,
    shown_name,
    shown_value,
    value_of,
)
from fishcnn.metrics.additive_model import MainEffect, main_effects
from fishcnn.utils.text import printable

Floats = NDArray[np.float64]

# Of more numbers a person sees a trend rather than each of them.
_LEVELS = 8
_BINS = 4


@dataclass(frozen=True)
class Knob:
    """A setting that was varied, or several that were varied together.

    Attributes:
        setting: its name; of several the first one.
        name: as it is typed, of several all.
        levels: its L values, as typed; numbers in rising order.
        level_of: ``(N,)``, which one each run has.
        effect: what it did on average.
    """

    setting: str
    name: str
    levels: list[str]
    level_of: NDArray[np.int64]
    effect: MainEffect

    @property
    def shown(self) -> list[str]:
        """Its values, for people."""
        parts = [level.partition(", ") for level in self.levels]
        return [in_words(self.setting, first) + "".join(others) for first, *others in parts]


@dataclass(frozen=True)
class Knobs:
    """All settings that were varied, that of the largest effect first.

    Attributes:
        knobs: with two values or more among the runs that have finished.
        accuracies: ``(N,)`` of these runs, without mere repetitions.
        balanced, separable: as of :class:`~fishcnn.metrics.additive_model.MainEffects`.
    """

    knobs: list[Knob]
    accuracies: Floats
    balanced: bool
    separable: bool

    def remark(self) -> str:
        """How the numbers are to be read, in a sentence or two."""
        if not self.knobs:
            return ""
        if not self.separable:
            return (
                "There are too few runs to tell the settings apart: each mean is of the runs with "
                "that value, whatever else they had, and has no interval."
            )
        how = (
            "Mean over the runs with each value."
            if self.balanced
            else "The runs are no full grid, so the means are those of a linear model without "
            "interactions, as if every value had met all others alike."
        )
        if any(np.isnan(knob.effect.half_widths).any() for knob in self.knobs):
            return f"{how} No interval: no run is left to judge the noise by; add seeds or folds."
        return (
            f"{how} The 95% interval is of the difference from the mean of all values; the noise "
            "is what other seeds and the settings together do on these images."
        )


def turn_knobs(board: Board, names: Sequence[str]) -> Knobs:
    """Find what each setting did.

    Args:
        board: runs of the same images.
        names: of the settings that were varied.
    """
    runs = [run for one in board.ranked for run in once_each(one.runs)]
    accuracies = np.array([run.number("val_acc") or 0 for run in runs])
    found: list[tuple[str, str, list[str], NDArray[np.int64]]] = []
    for name in names:
        levels, codes = _levels(runs, name)
        if len(levels) < 2:
            continue
        same = next((i for i, one in enumerate(found) if _same_parts(one[3], codes)), None)
        if same is None:
            found.append((name, printable(shown_name(name)), levels, codes))
        else:
            setting, before, texts, of_run = found[same]
            first = [int(codes[of_run == level][0]) for level in range(len(texts))]
            texts = [f"{text}, {levels[code]}" for text, code in zip(texts, first, strict=True)]
            both = f"{before}, {printable(shown_name(name))}"
            found[same] = (setting, both, texts, of_run)
    if not found:
        return Knobs([], accuracies, balanced=True, separable=True)
    blocks = [_levels(runs, name)[1] for name in (FOLD, SPLIT_SEED)]
    fit = main_effects(
        accuracies,
        [codes for *_, codes in found],
        [levels for levels in blocks if levels.any()],
        step=1 / min(run.images for run in runs),
    )
    knobs = [Knob(*one, effect) for one, effect in zip(found, fit.effects, strict=True)]
    knobs.sort(key=lambda knob: -knob.effect.spread)
    return Knobs(knobs, accuracies, fit.balanced, fit.separable)


def _levels(runs: Sequence[FoundRun], name: str) -> tuple[list[str], NDArray[np.int64]]:
    """The values of a setting, and which one each run has; of many numbers, ranges of them."""
    values = [value_of(run, name) for run in runs]
    texts = [printable(shown_value(run, name)) for run in runs]
    if all(isinstance(one, int | float) and not isinstance(one, bool) for one in values):
        numbers = np.array(values, np.float64)
        if len(set(values)) > _LEVELS:
            return _ranges(numbers)
        order = [texts[i] for i in np.argsort(numbers, kind="stable")]
    else:
        order = sorted(texts)
    levels = list(dict.fromkeys(order))
    return levels, np.array([levels.index(text) for text in texts], np.int64)


def _ranges(numbers: Floats) -> tuple[list[str], NDArray[np.int64]]:
    """Quarters of many different numbers."""
    cuts = np.quantile(numbers, np.arange(1, _BINS) / _BINS)
    codes = np.unique(np.searchsorted(cuts, numbers), return_inverse=True)[1].astype(np.int64)
    ends = [(numbers[codes == c].min(), numbers[codes == c].max()) for c in range(codes.max() + 1)]
    return [f"{low:.3g} to {high:.3g}" for low, high in ends], codes


def _same_parts(a: NDArray[np.int64], b: NDArray[np.int64]) -> bool:
    """Whether two settings part the runs alike."""
    pairs = len({*zip(a.tolist(), b.tolist(), strict=True)})
    return pairs == len(set(a.tolist())) == len(set(b.tolist()))
