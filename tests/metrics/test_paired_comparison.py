"""Who is better on the same images, against numbers worked by hand, published ones and draws."""

import itertools
from math import comb

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from fishcnn.metrics.paired_comparison import (
    PairedComparison,
    compare_paired,
    holm,
    images_needed,
    sign_flip_p_value,
)

Floats = NDArray[np.float64]


def runs(*answers: str) -> Floats:
    """One row a seed, of 1 for right and 0 for wrong."""
    return np.array([[float(letter) for letter in row] for row in answers])


def alone(count: int) -> NDArray[np.int64]:
    return np.arange(count)


def test_two_networks_are_compared_on_what_only_one_of_them_gets_right() -> None:
    first = runs("1111111" + "0" + "11100")
    second = runs("0000000" + "1" + "11100")
    found = compare_paired(first, second, alone(13))
    assert (found.images, found.only_first, found.only_second) == (13, 7, 1)
    assert found.difference == pytest.approx(6 / 13)
    assert found.discordance == pytest.approx(8 / 13)
    # 7 or more of 8 coins alike: 2 * (1 + 8) / 2**8.
    assert found.p_value == pytest.approx(18 / 256)
    other_way = compare_paired(second, first, alone(13))
    assert (other_way.difference, other_way.p_value) == (-found.difference, found.p_value)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (5, 5), (0, 6), (121, 59), (59, 6), (0, 1)])
def test_the_p_value_is_that_of_mcnemars_exact_test(first: int, second: int) -> None:
    differences = np.array([1] * first + [-1] * second + [0] * 40)
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1
    assert sign_flip_p_value(differences) == pytest.approx(expected, rel=1e-9)


def test_terms_of_several_sizes_are_flipped_in_every_way() -> None:
    terms = np.array([3, 1, -1, 2, 0, 1, 2, -1])
    sums = [abs(np.dot(signs, terms)) for signs in itertools.product((1, -1), repeat=len(terms))]
    expected = np.mean(np.array(sums) >= terms.sum())
    assert sign_flip_p_value(terms) == pytest.approx(expected)


def test_for_many_images_the_normal_distribution_says_the_same() -> None:
    for excess in (0, 150, 400):
        differences = np.array([1] * (6000 + excess) + [-1] * 6000)
        expected = stats.binomtest(6000 + excess, 12000 + excess).pvalue
        assert sign_flip_p_value(differences) == pytest.approx(expected, rel=0.02)


def test_frames_of_one_film_are_one_witness() -> None:
    first, second = runs("1" * 8), runs("0" * 8)
    assert compare_paired(first, second, alone(8)).p_value == pytest.approx(2 / 2**8)
    films = np.array([7, 7, 7, 7, 2, 2, 2, 2])
    found = compare_paired(first, second, films)
    assert (found.p_value, found.only_first) == (2 / 2**2, 8)
    # Two films of four frames tell as much as two images, so a film's worth of each is needed.
    assert found.discordance == 4


def test_seeds_that_scatter_more_than_they_differ_are_not_distinguishable() -> None:
    """The means differ by more than the images explain, but the next seed may undo it."""
    generator = np.random.default_rng(0)
    steady = generator.random((2, 1, 400)) < np.array([0.9, 0.75])[:, None, None]
    alike = compare_paired(
        steady[0].repeat(3, 0).astype(float), steady[1].repeat(3, 0).astype(float), alone(400)
    )
    assert alike.p_value < 0.001
    assert alike.seed_variance == 0
    scattered = [generator.random((3, 400)) < np.array([[0.7], [0.9], [p]]) for p in (1.0, 0.8)]
    found = compare_paired(*(one.astype(float) for one in scattered), alone(400))
    assert found.seed_variance > 0
    assert found.p_value > 0.2
    assert images_needed(found, 0.05) is None


def test_equal_settings_are_seldom_called_different() -> None:
    """5% at most, whatever seeds and images do to the accuracy."""
    generator = np.random.default_rng(1)
    for seeds, scatter in ((1, 0.0), (3, 0.03), (3, 0.0)):
        wrong = 0
        for _ in range(600):
            hard = generator.normal(1.2, 1, 150)
            scores = [
                (
                    hard + generator.normal(0, 20 * scatter / 3, (seeds, 1))
                    + generator.normal(0, 1, (seeds, 150)) > 0
                ).astype(float)
                for _ in range(2)
            ]  # fmt: skip
            wrong += compare_paired(scores[0], scores[1], alone(150)).p_value <= 0.05
        assert wrong / 600 < 0.05 + 2.6 * (0.05 * 0.95 / 600) ** 0.5, (seeds, scatter)


def test_a_real_difference_of_settings_is_found() -> None:
    generator = np.random.default_rng(2)
    answers = [(generator.random((3, 300)) < share).astype(float) for share in (0.9, 0.7)]
    found = compare_paired(answers[0], answers[1], alone(300))
    assert found.difference == pytest.approx(0.2, abs=0.05)
    assert found.p_value < 0.01
    # One of them with a single seed: its scatter is that of the other.
    assert compare_paired(answers[0], answers[1][:1], alone(300)).seed_variance > 0


def test_an_image_that_was_judged_twice_counts_once() -> None:
    first = np.array([[1, 1, 0.5, 1, 1, 0.5, 1, 1]])
    second = np.array([[0, 0.5, 0.5, 0, 0, 0.5, 1, 0]])
    found = compare_paired(first, second, alone(8))
    expected = stats.ttest_1samp((first - second)[0], 0).pvalue
    assert found.p_value == pytest.approx(expected)


def test_nothing_can_be_said_of_one_image() -> None:
    assert compare_paired(runs("1"), runs("0"), alone(1)).p_value == 1
    assert compare_paired(runs("1", "1"), runs("0", "0"), alone(1)).p_value == 1
    assert compare_paired(runs("11", "11"), runs("00", "00"), alone(2)).p_value == 0.5


def test_p_values_are_adjusted_for_their_number() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert holm([0.7, 0.8]) == [1, 1]
    assert holm([]) == []


def found(images: int, first: int, second: int) -> PairedComparison:
    difference, discordance = (first - second) / images, (first + second) / images
    return PairedComparison(images, difference, first, second, 1.0, discordance)


@pytest.mark.parametrize(
    ("first", "second", "images"),
    # Published calculators of Connor's formula; the last one worked by hand.
    [(45, 5, 23), (30, 15, 155), (15, 5, 155), (5, 15, 155)],
)
def test_as_many_images_are_needed_as_published(first: int, second: int, images: int) -> None:
    assert images_needed(found(100, first, second), 0.05) == images


def test_so_many_images_are_enough_in_four_of_five_draws() -> None:
    expected = found(100, 12, 4)
    enough = images_needed(expected, 0.05)
    assert enough is not None
    # The power of the exact test, which is a little less than the formula's.
    chance = 0.0
    for only_one in range(enough + 1):
        tosses = comb(enough, only_one) * 0.16**only_one * 0.84 ** (enough - only_one)
        if tosses < 1e-9:
            continue
        for first in range(only_one + 1):
            terms = np.array([1] * first + [-1] * (only_one - first))
            of_them = comb(only_one, first) * 0.75**first * 0.25 ** (only_one - first)
            chance += tosses * of_them * (sign_flip_p_value(terms) <= 0.05)
    assert 0.72 < chance < 0.82


def test_no_number_of_images_shows_a_difference_that_is_not_there() -> None:
    assert images_needed(found(100, 5, 5), 0.05) is None
    more, fewer = (images_needed(found(100, 8, 4), alpha) for alpha in (0.05 / 45, 0.05))
    assert more is not None
    assert fewer is not None
    assert more > 1.5 * fewer
