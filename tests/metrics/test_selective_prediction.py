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
