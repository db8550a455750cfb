"""95% intervals of shares and of their means; standard library only."""

import math
import statistics
from collections.abc import Sequence

# 97.5% quantiles of Student's t for 1 to 30 degrees of freedom: NIST/SEMATECH e-Handbook of
# Statistical Methods, section 1.3.6.7.2.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
_Z = 1.959964  # that of the normal distribution


def wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """95% interval of a share (Wilson 1927), which stays inside [0, 1] and is right for few."""
    return _wilson(hits / total, total, _Z)


def seeds_interval(shares: Sequence[float], total: int) -> tuple[float, float]:
    """95% interval of the mean of shares of the same images, for other seeds and other images.

    Of one share it is :func:`wilson_interval`. The variance of the mean over seeds is added to that
    over images, and the interval is Wilson's for as many images as would have that variance, with
    the quantile of Student's t for the degrees of freedom of Satterthwaite (1946).

    Args:
        shares: one a seed.
        total: how many images each of them is of.
    """
    mean = statistics.fmean(shares)
    of_images = mean * (1 - mean) / total
    of_seeds = statistics.variance(shares) / len(shares) if len(shares) > 1 else 0.0
    if of_seeds == 0 or of_images == 0:
        return _wilson(mean, total, _Z)
    both = of_images + of_seeds
    degrees = both**2 / (of_images**2 / total + of_seeds**2 / (len(shares) - 1))
    return _wilson(mean, total * of_images / both, t_quantile(max(1, int(degrees))))


def _wilson(share: float, total: float, z: float) -> tuple[float, float]:
    centre = share + z**2 / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def t_interval(shares: Sequence[float]) -> tuple[float, float] | None:
    """95% interval of the mean of shares by Student's t, cut to [0, 1].

    Over folds it is somewhat too narrow: the folds share training images, and no unbiased
    estimate of the variance of their mean exists (Bengio & Grandvalet, JMLR 2004). Over seeds it
    speaks of other weights and orders on the same images, not of other images. It takes
    two shares or more; else there is none.
    """
    if len(shares) < 2:
        return None
    low, high = _of_mean(shares)
    return max(0.0, low), min(1.0, high)


def ratio_interval(ratios: Sequence[float]) -> tuple[float, float]:
    """95% interval of the geometric mean of ratios above 0, by Student's t of their logarithms.

    It takes two ratios or more.
    """
    low, high = _of_mean([math.log(ratio) for ratio in ratios])
    return math.exp(low), math.exp(high)


def t_quantile(degrees: int) -> float:
    """97.5% quantile of Student's t for 1 degree of freedom or more.

    Beyond 30 it is that of 30, which is wider by less than 5%.
    """
    return _T[min(degrees, len(_T)) - 1]


def _of_mean(values: Sequence[float]) -> tuple[float, float]:
    mean = statistics.fmean(values)
    half = t_quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return mean - half, mean + half
