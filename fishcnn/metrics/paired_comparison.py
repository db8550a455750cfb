"""Which of two configurations is better, from the images that both were judged on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fishcnn.metrics.tail_probabilities import t_two_sided

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Beyond so many discordant images the normal distribution says the same as the exact one.
_EXACT = 10_000
_NORMAL = NormalDist()
_POWER = 0.8  # the wanted chance of finding a difference


@dataclass(frozen=True)
class PairedComparison:
    """Two configurations on n images.

    Attributes:
        images: n.
        difference: mean share of right answers of the first, less that of the second, in [-1, 1].
        only_first, only_second: images on which the first, or the second, is right more often.
        p_value: two-sided; of no difference.
        discordance: what an image adds to the variance of the sum of differences if there is no
            difference; of single runs and images that stand alone the share of images that only one
            of them gets right.
        seed_variance: of ``difference``, by other seeds; 0 where only one of each is known.
    """

    images: int
    difference: float
    only_first: int
    only_second: int
    p_value: float
    discordance: float
    seed_variance: float = 0.0


def compare_paired(first: Floats, second: Floats, groups: Ints) -> PairedComparison:
    """Compare two configurations on the same n images.

    With one run each this is McNemar's exact test (McNemar, Psychometrika 1947): if neither is
    better, each discordant image is a toss of a coin. Images of one group, such as the frames of a
    film, are tossed together, as they are no independent witnesses; where each image is a group of
    its own, that changes nothing. The test speaks of these two networks and further images, not of
    the same settings with another seed (Dietterich, "Approximate statistical tests for comparing
    supervised classification learning algorithms", Neural Computation 1998).

    With several seeds of either it speaks of the settings: of the difference of the means over the
    seeds, by Student's t, where the variance over (groups of) images and that over seeds are added,
    with the degrees of freedom of Satterthwaite (Biometrics Bulletin 1946). A bootstrap over the
    images alone would leave the seeds out and say "better" of what the next seed undoes. The
    variance over seeds is taken to be the same in both, so that it is known where one of them has a
    single seed. What seeds change on single images is in both variances, which errs on the side of
    "not distinguishable".

    Args:
        first: ``(S, n)`` in [0, 1], by seed: 1 where it was right, 0 where wrong, between where an
            image was judged several times.
        second: ``(R, n)``, likewise.
        groups: ``(n,)``, the same number for images that belong together.
    """
    of_image = first.mean(0) - second.mean(0)
    _, members = np.unique(groups, return_inverse=True)
    of_group: Floats = np.bincount(members, of_image).astype(np.float64)
    of_seeds = 0.0
    if len(first) == len(second) == 1 and np.array_equal(of_image, np.rint(of_image)):
        p_value = sign_flip_p_value(np.rint(of_group).astype(np.int64))
    else:
        p_value, of_seeds = _with_seeds(first, second, of_group, np.bincount(members))
    return PairedComparison(
        images=len(of_image),
        difference=float(of_image.mean()),
        only_first=int((of_image > 0).sum()),
        only_second=int((of_image < 0).sum()),
        p_value=p_value,
        discordance=float((of_group**2).sum() / len(of_image)),
        seed_variance=of_seeds,
    )


def sign_flip_p_value(differences: Ints) -> float:
    """How often a sum is as far from 0 if each of its terms has its sign from the toss of a coin.

    Of terms that are 1, 0 and -1 this is McNemar's exact test, twice the tail of a binomial
    distribution, at most 1.

    Args:
        differences: the terms, ``(n,)``.
    """
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    observed, most = abs(int(differences.sum())), int((sizes * counts).sum())
    if observed == 0:
        return 1.0
    if most > _EXACT:
        spread = math.sqrt(float((sizes.astype(np.float64) ** 2 * counts).sum()))
        return min(1.0, 2 * _NORMAL.cdf(-(observed - int(sizes.min())) / spread))
    # Of the sum of those terms that are positive.
    chances = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        wider = np.zeros(len(chances) + size * count)
        for number, chance in enumerate(_coins(count)):
            wider[number * size : number * size + len(chances)] += chance * chances
        chances = wider
    tail = 2 * np.arange(most + 1) - most >= observed
    return min(1.0, 2 * float(chances[tail].sum()))


def _coins(count: int) -> list[float]:
    """The chances of 0 to ``count`` heads."""
    whole = math.lgamma(count + 1) - count * math.log(2)
    return [
        math.exp(whole - math.lgamma(heads + 1) - math.lgamma(count - heads + 1))
        for heads in range(count + 1)
    ]


def _with_seeds(
    first: Floats, second: Floats, of_group: Floats, sizes: Ints
) -> tuple[float, float]:
    """The p value of a difference between means over seeds, and its variance by seeds."""
    images, groups = int(sizes.sum()), len(sizes)
    mean = float(of_group.sum()) / images
    if groups < 2 or mean == 0:
        return 1.0, 0.0
    beyond = float(((of_group - mean * sizes) ** 2).sum())
    of_images = groups / (groups - 1) * beyond / images**2
    accuracies = [first.mean(1), second.mean(1)]
    free = sum(len(one) - 1 for one in accuracies)
    pooled = sum(float(((one - one.mean()) ** 2).sum()) for one in accuracies) / max(free, 1)
    of_seeds = pooled * (1 / len(first) + 1 / len(second))
    variance = of_images + of_seeds
    if variance == 0:  # on every image alike
        return 0.5 ** (groups - 1), 0.0
    degrees = variance**2 / (of_images**2 / (groups - 1) + of_seeds**2 / max(free, 1))
    return t_two_sided(abs(mean) / math.sqrt(variance), degrees), of_seeds


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for their number, so that one in 20 families errs at all at 0.05.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 1979; it needs no independence.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - rank)))
        adjusted[place] = largest
    return adjusted


def images_needed(found: PairedComparison, alpha: float) -> int | None:
    """How many images would show a difference like the one that was found.

    Connor, "Sample size for testing differences in proportions for the paired-sample design",
    Biometrics 1987, two-sided. It assumes that the difference and the share of discordant images
    are just those that were observed, which are uncertain themselves, and further images of the
    same kind, in groups of the same sizes. Where seeds differ, their variance stays as it is.

    Args:
        found: the comparison.
        alpha: level of the test: 0.05, divided by the number of comparisons, which is the strictest
            level that :func:`holm` asks of any of them.

    Returns:
        Images in all; None where no number is enough: there is no difference, or the seeds
        scatter so much that more of them are needed.
    """
    effect, spread = abs(found.difference), found.discordance
    if effect == 0:
        return None
    of_level, of_power = _NORMAL.inv_cdf(1 - alpha / 2), _NORMAL.inv_cdf(_POWER)
    if found.seed_variance:
        left = (effect / (of_level + of_power)) ** 2 - found.seed_variance
        return math.ceil(spread / left) if left > 0 else None
    rest = math.sqrt(max(spread - effect**2, 0.0))
    return math.ceil(((of_level * math.sqrt(spread) + of_power * rest) / effect) ** 2)
