"""Main effects, against numbers worked by hand and another fit."""

import numpy as np
import pytest
from scipy import stats

from fishcnn.metrics.additive_model import main_effects


def test_in_a_grid_the_means_are_means() -> None:
    blocks = np.array([0, 0, 1, 1, 2, 2])
    rate = np.array([0, 1, 0, 1, 0, 1])
    # Sums of 0.6, 0.7, 0.8 and -0.05, 0.05, but for 0.01 up and down.
    results = np.array([0.56, 0.64, 0.64, 0.76, 0.75, 0.85])
    found = main_effects(results, [blocks, rate])
    assert found.balanced
    assert found.separable
    of_blocks, of_rate = found.effects
    assert of_blocks.means == pytest.approx([0.6, 0.7, 0.8])
    assert of_rate.means == pytest.approx([0.65, 0.75])
    assert (of_blocks.spread, of_rate.spread) == pytest.approx((0.2, 0.1))
    # Analysis of variance by hand: squares of 0.04 by blocks, 0.015 by rate, 0.0004 of noise; 2, 1
    # and 2 degrees of freedom.
    noise = 0.0004 / 2
    assert of_blocks.p_value == pytest.approx(stats.f.sf(0.04 / 2 / noise, 2, 2))
    assert of_rate.p_value == pytest.approx(stats.f.sf(0.015 / noise, 1, 2))
    assert of_rate.half_widths == pytest.approx([4.303 * np.sqrt(noise / 6)] * 2)
    assert of_blocks.half_widths == pytest.approx([4.303 * np.sqrt(noise / 3)] * 3)


def test_a_setting_that_met_only_the_better_half_of_another_gets_no_credit_for_it() -> None:
    good = np.array([0, 0, 0, 1, 1, 1, 1])
    idle = np.array([0, 0, 1, 0, 1, 1, 1])
    results = 0.5 + 0.2 * good
    found = main_effects(results, [good, idle])
    assert not found.balanced
    assert found.effects[0].means == pytest.approx([0.5, 0.7])
    assert found.effects[1].means == pytest.approx([0.6, 0.6])


def test_folds_are_no_noise() -> None:
    fold = np.array([0, 0, 1, 1, 2, 2])
    rate = np.array([0, 1, 0, 1, 0, 1])
    results = 0.1 * fold + 0.02 * rate + np.array([0, 0.001, 0, 0, 0.001, 0])
    without, given = main_effects(results, [rate]), main_effects(results, [rate], [fold])
    assert without.effects[0].means == pytest.approx(given.effects[0].means)
    assert len(given.effects) == 1
    assert without.effects[0].p_value > 0.5  # type: ignore[operator]
    # A paired t test of the three folds.
    expected = stats.ttest_rel(results[::2], results[1::2]).pvalue
    assert given.effects[0].p_value == pytest.approx(expected)


def test_what_varies_together_is_not_told_apart() -> None:
    same = np.array([0, 1, 0, 1])
    found = main_effects(np.array([0.5, 0.6, 0.5, 0.8]), [same, same])
    assert not found.separable
    assert found.effects[0].means == pytest.approx([0.5, 0.7])
    assert np.isnan(found.effects[0].half_widths).all()
    assert found.effects[0].p_value is None


def test_without_results_to_spare_there_is_no_interval() -> None:
    found = main_effects(np.array([0.5, 0.6]), [np.array([0, 1])])
    assert found.separable
    assert found.effects[0].means == pytest.approx([0.5, 0.6])
    assert np.isnan(found.effects[0].half_widths).all()
    assert found.effects[0].p_value is None


def test_nine_of_ten_and_more_of_the_intervals_hold_the_truth() -> None:
    generator = np.random.default_rng(0)
    levels = [np.tile([0, 1, 2], 8), np.repeat([0, 1], 12)]
    held = 0
    for _ in range(300):
        results = 0.1 * levels[0] + generator.normal(0, 0.05, 24)
        effect = main_effects(results, levels).effects[0]
        away = effect.means - effect.means.mean() - [-0.1, 0, 0.1]
        held += int((abs(away) < effect.half_widths).sum())
    assert 0.92 < held / 900 < 0.98


def test_results_of_a_few_images_that_agree_by_chance_are_no_proof() -> None:
    blocks, rate = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    # One image of seven between the networks: the sum leaves nothing unexplained.
    (effect, _) = main_effects(np.array([3, 3, 2, 2]) / 7, [blocks, rate], step=1 / 7).effects
    # Rounding to sevenths has a variance of 1/12 of their square, the difference of means that.
    noise = 1 / 7**2 / 12
    assert effect.p_value == pytest.approx(stats.f.sf(1 / 7**2 / noise, 1, 1))
    assert effect.half_widths == pytest.approx([12.706 * np.sqrt(noise / 4)] * 2, rel=1e-4)
    generator, alarms = np.random.default_rng(0), 0
    for _ in range(400):
        alike = generator.binomial(7, 0.4, 4) / 7
        alarms += main_effects(alike, [blocks, rate], step=1 / 7).effects[0].p_value < 0.05  # type: ignore[operator]
    assert alarms <= 0.05 * 400
