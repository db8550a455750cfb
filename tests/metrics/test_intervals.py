import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from fishcnn.metrics.intervals import ratio_interval, seeds_interval, t_interval, wilson_interval

Z = 1.959964  # 97.5% quantile of the normal distribution


@pytest.mark.parametrize(
    ("hits", "total", "expected"),
    [
        # Newcombe 1998, table I, method 3.
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
        (29, 29, (0.8830, 1.0)),
    ],
)
def test_intervals_are_the_published_ones(
    hits: int, total: int, expected: tuple[float, float]
) -> None:
    assert wilson_interval(hits, total) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("total", [1, 7, 20, 49, 1000])
def test_no_hit_and_nothing_but_hits_end_at_0_and_at_1(total: int) -> None:
    low, high = wilson_interval(0, total)
    assert 0 <= low < 1e-12
    assert high == pytest.approx(Z**2 / (total + Z**2))
    low, high = wilson_interval(total, total)
    assert low == pytest.approx(total / (total + Z**2))
    assert 1 - 1e-12 < high <= 1


def test_the_quantiles_of_students_t_are_those_of_scipy() -> None:
    for folds in range(2, 40):
        shares = [0.5 + 0.002 * (i % 2) for i in range(folds)]
        mean, spread = stats.tmean(shares), stats.tsem(shares)
        quantile = stats.t.ppf(0.975, min(folds - 1, 30))  # later ones differ by less than 5%
        expected = (mean - quantile * spread, mean + quantile * spread)
        assert t_interval(shares) == pytest.approx(expected, abs=1e-6)


def test_an_interval_of_a_mean_takes_two_shares_and_stays_in_0_to_1() -> None:
    assert t_interval([0.5]) is None
    assert t_interval([]) is None
    assert t_interval([0.0, 1.0]) == (0, 1)
    assert t_interval([0.25, 0.25]) == (0.25, 0.25)


def test_the_interval_of_ratios_is_symmetric_in_which_one_is_divided() -> None:
    ratios = [0.8, 1.1, 1.25, 0.9]
    low, high = ratio_interval(ratios)
    assert (1 / high, 1 / low) == pytest.approx(ratio_interval([1 / ratio for ratio in ratios]))
    expected = np.exp(stats.t.interval(0.95, 3, *_mean_and_error(np.log(ratios))))
    assert (low, high) == pytest.approx(tuple(expected), rel=1e-3)


def _mean_and_error(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.mean()), float(stats.sem(values))


def test_other_seeds_make_the_interval_of_an_accuracy_wider() -> None:
    assert seeds_interval([0.8], 100) == wilson_interval(80, 100)
    assert seeds_interval([0.8, 0.8], 100) == wilson_interval(80, 100)
    low, high = seeds_interval([0.7, 0.9], 100)
    # By hand: variances 0.0016 of images and 0.01 of seeds, as of 13.79 images; t is 12.706.
    assert (low, high) == pytest.approx((0.05054, 0.99668), abs=1e-4)
    many = [0.8 + 0.02 * (-1) ** seed for seed in range(40)]
    images, seeds = 0.16 / 1000, np.var(many, ddof=1) / 40
    low, high = seeds_interval(many, 1000)
    assert high - low == pytest.approx(2 * Z * (images + seeds) ** 0.5, rel=0.05)
    assert seeds_interval([1.0, 1.0], 10) == wilson_interval(10, 10)
