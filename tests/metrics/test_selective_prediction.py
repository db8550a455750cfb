"""Thresholds worked out by hand."""

import numpy as np
import pytest

from fishcnn.metrics.selective_prediction import keep, lowest_threshold, selective_curve

CONFIDENCE = np.array([0.9, 0.5, 0.8, 0.8, 0.6])
RIGHT = np.array([True, True, True, False, False])


def test_equally_sure_images_are_kept_together() -> None:
    curve = selective_curve(CONFIDENCE, RIGHT)
    np.testing.assert_allclose(curve.threshold, [0.9, 0.8, 0.6, 0.5])
    np.testing.assert_array_equal(curve.kept, [1, 3, 4, 5])
    np.testing.assert_allclose(curve.accuracy, [1, 2 / 3, 2 / 4, 3 / 5])
    np.testing.assert_allclose(curve.coverage, [0.2, 0.6, 0.8, 1])


def test_the_lowest_threshold_that_is_precise_enough_keeps_the_most_images() -> None:
    curve = selective_curve(CONFIDENCE, RIGHT)
    chosen = lowest_threshold(curve, 0.6, at_least=1)
    assert chosen is not None
    # Not 0.8: half of the images down to 0.6 are wrong, but with the last one it is 3 of 5.
    assert (chosen.threshold, chosen.kept, chosen.hits, chosen.total) == (0.5, 5, 3, 5)
    assert (chosen.precision, chosen.coverage) == (0.6, 1.0)
    strict = lowest_threshold(curve, 0.66, at_least=1)
    assert strict is not None
    assert (strict.threshold, strict.kept) == (0.8, 3)


def test_a_precision_out_of_reach_or_of_too_few_images_has_no_threshold() -> None:
    curve = selective_curve(CONFIDENCE, RIGHT)
    assert lowest_threshold(curve, 0.9, at_least=2) is None
    assert lowest_threshold(curve, 0.6) is None  # five images tell nothing


def test_a_threshold_keeps_images_of_just_that_confidence() -> None:
    kept = keep(CONFIDENCE, RIGHT, 0.8)
    assert (kept.kept, kept.hits) == (3, 2)
    assert kept.precision == pytest.approx(2 / 3)
    assert np.isnan(keep(CONFIDENCE, RIGHT, 0.95).precision)


def test_no_threshold_is_shown_that_nothing_reaches() -> None:
    assert keep(CONFIDENCE, RIGHT, 0.99996).shown_threshold == "0.9999"


# 20 images: 16 of them right, the four least sure ones wrong.
SURE = np.linspace(1, 0.05, 20)
FIRST_RIGHT = np.arange(20) < 16


@pytest.mark.parametrize(
    ("precision", "kept"),
    [
        (1.0, 16),  # exactly reached by the sixteen right ones
        (16 / 17, 17),  # exactly at
        (16 / 17 + 1e-9, 16),  # and just above
        (0.8, 20),  # all of them reach it
        (0.0, 20),
    ],
)
def test_a_precision_that_is_just_reached_counts(precision: float, kept: int) -> None:
    chosen = lowest_threshold(selective_curve(SURE, FIRST_RIGHT), precision, at_least=1)
    assert chosen is not None
    assert chosen.kept == kept
    assert chosen.threshold == SURE[kept - 1]
    # The threshold keeps the same images when it is applied.
    assert keep(SURE, FIRST_RIGHT, chosen.threshold) == chosen


def test_the_number_that_must_be_kept_may_be_just_reached() -> None:
    curve = selective_curve(SURE, FIRST_RIGHT)
    assert lowest_threshold(curve, 1.0, at_least=16) is not None
    assert lowest_threshold(curve, 1.0, at_least=17) is None
    right = np.ones(20, dtype=bool)
    assert lowest_threshold(selective_curve(SURE, right), 1.0) is not None
    assert lowest_threshold(selective_curve(SURE[1:], right[1:]), 1.0) is None


def test_a_tie_of_right_and_wrong_is_judged_as_a_whole() -> None:
    confidence = np.array([0.9, 0.7, 0.7, 0.7])
    right = np.array([True, True, True, False])
    chosen = lowest_threshold(selective_curve(confidence, right), 0.8, at_least=1)
    assert chosen is not None
    assert (chosen.threshold, chosen.kept) == (0.9, 1)
    chosen = lowest_threshold(selective_curve(confidence, right), 0.75, at_least=1)
    assert chosen is not None
    assert (chosen.threshold, chosen.kept, chosen.hits) == (0.7, 4, 3)


def test_where_the_surest_image_is_wrong_no_threshold_need_exist() -> None:
    assert lowest_threshold(selective_curve(SURE, ~FIRST_RIGHT), 0.5, at_least=1) is None
