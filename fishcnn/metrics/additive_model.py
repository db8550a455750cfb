"""What each setting of a sweep does on average: a linear model of the results, without crosses."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fishcnn.metrics.intervals import t_quantile
from fishcnn.metrics.tail_probabilities import f_tail

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class MainEffect:
    """What one factor of L levels does.

    Attributes:
        means: ``(L,)``, mean result of each level, all levels of the other factors alike.
        half_widths: ``(L,)``, half the 95% interval of how far that is from the mean of all levels;
            NaN where the results leave nothing to judge the noise by.
        p_value: of no difference between the levels (F test); None where that cannot be judged.
    """

    means: Floats
    half_widths: Floats
    p_value: float | None

    @property
    def spread(self) -> float:
        """From the lowest to the highest mean."""
        return float(self.means.max() - self.means.min())


@dataclass(frozen=True)
class MainEffects:
    """What each of F factors does.

    Attributes:
        effects: one a factor.
        balanced: whether every level of a factor met those of the others equally often, so that
            means are simply means.
        separable: whether there are results enough to tell the factors apart. Where not, the means
            are those of the results as they are, without intervals.
    """

    effects: list[MainEffect]
    balanced: bool
    separable: bool


def main_effects(
    results: Floats, factors: Sequence[Ints], blocks: Sequence[Ints] = (), *, step: float = 0
) -> MainEffects:
    """Fit results as a sum of what each factor adds, by least squares.

    In a balanced grid the mean of a level is the mean of its results; elsewhere it is what the
    model expects if every level of the other factors came up equally often (Searle, Speed &
    Milliken, "Population marginal means in the linear model", The American Statistician 1980).
    The noise is what the sum does not explain: other seeds, and what the factors do together.
    Results of the same images share the luck of these, which cancels in the differences.

    Args:
        results: ``(N,)``, such as accuracies.
        factors: each ``(N,)``, levels from 0 to L - 1, all of which occur, two or more.
        blocks: likewise, what results belong together by, such as folds; no effect is given of
            these.
        step: that results are whole multiples of, such as one image's share. It is in the noise:
            few results can fall on such multiples as if there were none.
    """
    columns = [_columns(one) for one in (*factors, *blocks)]
    design = np.concatenate([np.ones((len(results), 1)), *columns], 1)
    balanced = all(_crossed_evenly(a, b) for a, b in combinations((*factors, *blocks), 2))
    if np.linalg.matrix_rank(design) < design.shape[1]:
        means = [_plain_means(results, one) for one in factors]
        effects = [MainEffect(mean, np.full_like(mean, np.nan), None) for mean in means]
        return MainEffects(effects, balanced, separable=False)
    coefficients = np.linalg.lstsq(design, results)[0]
    free = len(results) - design.shape[1]
    beyond = float(((results - design @ coefficients) ** 2).sum())
    variance = max(beyond / free, step**2 / 12) if free else None  # that of rounding, at least
    inverse = np.linalg.inv(design.T @ design)
    effects = []
    start = 1
    for one in columns[: len(factors)]:
        part = slice(start, start + one.shape[1])
        start = part.stop
        noise = None if variance is None else variance * inverse[part, part]
        effects.append(_effect(float(coefficients[0]), coefficients[part], noise, free))
    return MainEffects(effects, balanced, separable=True)


def _columns(levels: Ints) -> Floats:
    """L - 1 columns, whose coefficients are how far the levels but the last are from their mean."""
    return _contrasts(int(levels.max()) + 1)[levels]


def _contrasts(count: int) -> Floats:
    return np.concatenate([np.eye(count - 1), np.full((1, count - 1), -1.0)])


def _effect(mean: float, coefficients: Floats, noise: Floats | None, free: int) -> MainEffect:
    """The effect of a factor from its L - 1 coefficients and their covariance."""
    contrasts = _contrasts(len(coefficients) + 1)
    means = mean + contrasts @ coefficients
    if noise is None:
        return MainEffect(means, np.full_like(means, np.nan), None)
    variances = np.einsum("li,ij,lj->l", contrasts, noise, contrasts)
    half_widths = t_quantile(free) * np.sqrt(np.maximum(variances, 0))
    if not noise.any():
        return MainEffect(means, half_widths, 0.0 if np.ptp(means) > 0 else 1.0)
    explained = float(coefficients @ np.linalg.solve(noise, coefficients)) / len(coefficients)
    return MainEffect(means, half_widths, f_tail(explained, len(coefficients), free))


def _plain_means(results: Floats, levels: Ints) -> Floats:
    means: Floats = np.bincount(levels, results) / np.bincount(levels)
    return means


def _crossed_evenly(a: Ints, b: Ints) -> bool:
    """Whether the levels of one factor meet those of another in the same proportions."""
    table = np.zeros((a.max() + 1, b.max() + 1), np.int64)
    np.add.at(table, (a, b), 1)
    return bool((table * len(a) == np.outer(table.sum(1), table.sum(0))).all())
