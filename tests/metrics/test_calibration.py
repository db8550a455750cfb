"""Calibration worked out by hand, and a temperature that is known."""

import numpy as np
import pytest

from fishcnn.metrics.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    TemperatureFit,
    cross_fitted_temperatures,
    ece_by_chance,
    fit_temperature,
    log_loss,
    reliability,
    softmax,
)


def draw(count: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a network whose probabilities are right once divided by the temperature."""
    generator = np.random.default_rng(seed)
    true_logits = generator.normal(scale=2.0, size=(count, 5))
    cumulative = softmax(true_logits, 1.0).cumsum(1)
    labels = (generator.random(count)[:, None] > cumulative[:, :-1]).sum(1)
    return true_logits * temperature, labels


def test_ece_by_hand() -> None:
    confidence = np.array([0.1, 0.15, 0.5, 0.9, 0.9, 1.0])
    right = np.array([False, True, True, True, False, True])
    bins = reliability(confidence, right, bins=2)
    # 0.5 belongs to the lower bin, whose upper edge it is.
    np.testing.assert_array_equal(bins.count, [3, 3])
    np.testing.assert_array_equal(bins.hits, [2, 2])
    np.testing.assert_allclose(bins.confidence, [0.25, 2.8 / 3])
    np.testing.assert_allclose(bins.accuracy, [2 / 3, 2 / 3])
    np.testing.assert_array_equal(bins.edges, [0, 0.5, 1])
    assert bins.ece == pytest.approx((3 * (2 / 3 - 0.25) + 3 * (2.8 / 3 - 2 / 3)) / 6)


def test_an_empty_bin_has_no_accuracy_and_adds_no_error() -> None:
    bins = reliability(np.array([1.0, 1.0]), np.array([True, True]), bins=3)
    np.testing.assert_array_equal(bins.count, [0, 0, 2])
    assert np.isnan(bins.accuracy[:2]).all()
    assert bins.ece == 0


def test_log_loss_by_hand_is_finite_even_for_a_probability_of_0() -> None:
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75]])
    assert log_loss(probabilities, np.array([0, 1])) == pytest.approx(-np.log(0.5 * 0.75) / 2)
    assert np.isfinite(log_loss(np.array([[1.0, 0.0]]), np.array([1])))


def test_logits_beyond_the_range_of_exp_have_probabilities() -> None:
    np.testing.assert_allclose(softmax(np.array([[2000.0, 0.0]]), 2.0), [[1, 0]])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_found_again(temperature: float) -> None:
    logits, labels = draw(20_000, temperature)
    fit = fit_temperature(logits, labels)
    assert fit.usable
    assert fit.temperature == pytest.approx(temperature, rel=0.03)


def test_no_other_temperature_has_a_lower_loss() -> None:
    logits, labels = draw(60, 2.0)
    best = fit_temperature(logits, labels).temperature
    loss = log_loss(softmax(logits, best), labels)
    for other in (0.98 * best, 1.02 * best):
        assert log_loss(softmax(logits, other), labels) > loss


def test_calibrating_brings_the_error_down_to_what_chance_explains() -> None:
    logits, labels = draw(4000, 3.0)
    fit = fit_temperature(logits, labels)
    eces = {}
    for name, temperature in (("before", 1.0), ("after", fit.temperature)):
        probabilities = softmax(logits, temperature)
        right = probabilities.argmax(1) == labels
        eces[name] = reliability(probabilities.max(1), right).ece
    chance = ece_by_chance(softmax(logits, fit.temperature).max(1))
    assert eces["after"] < 1.5 * chance < 0.05 < eces["before"]


def test_without_a_mistake_there_is_no_temperature_to_be_found() -> None:
    labels = np.arange(40) % 4
    fit = fit_temperature(6.0 * np.eye(4)[labels], labels)
    assert not fit.usable
    assert fit.temperature == pytest.approx(MIN_TEMPERATURE, rel=0.001)
    assert (fit.images, fit.mistakes) == (40, 0)


def test_labels_that_are_noise_give_no_temperature_either() -> None:
    labels = np.arange(40) % 4
    assert not fit_temperature(6.0 * np.eye(4)[3 - labels], labels).usable


def test_a_handful_of_images_gives_no_temperature() -> None:
    logits, labels = draw(19, 1.0)
    assert not fit_temperature(logits, labels).usable


def test_no_image_has_a_say_in_its_own_cross_fitted_temperature() -> None:
    logits, labels = draw(30, 2.0)
    before = cross_fitted_temperatures(logits, labels)
    assert len(np.unique(before)) == 2
    for position in (0, 29):
        changed = logits.copy()
        changed[position] = -10 * changed[position]
        after = cross_fitted_temperatures(changed, labels)
        assert after[position] == before[position]
        assert (after != before).sum() == 15


def test_chance_alone_gives_a_larger_error_on_fewer_images() -> None:
    few, many = (ece_by_chance(np.full(count, 0.8)) for count in (50, 5000))
    # All in one bin: 1.96 standard errors of a share of 0.8.
    assert few == pytest.approx(1.96 * 0.4 / 50**0.5, rel=0.15)
    assert many == pytest.approx(1.96 * 0.4 / 5000**0.5, rel=0.15)


def test_a_confidence_of_0_is_in_the_first_bin() -> None:
    bins = reliability(np.array([0.0, 0.01]), np.array([False, True]))
    assert bins.count.tolist() == [2] + [0] * 14


def test_logits_of_several_views_are_normalised_by_class() -> None:
    shares = softmax(np.arange(12.0).reshape(2, 2, 3), 1.0)
    np.testing.assert_allclose(shares.sum(2), np.ones((2, 2)))
    np.testing.assert_allclose(shares[1, 1] / shares[1, 1, 0], np.exp([0, 1, 2]))


@pytest.mark.parametrize(
    ("temperature", "images", "usable"),
    [
        (MIN_TEMPERATURE * 1.002, 20, True),
        (MIN_TEMPERATURE * 1.0005, 20, False),
        (MAX_TEMPERATURE / 1.002, 20, True),
        (MAX_TEMPERATURE / 1.0005, 20, False),
        (1.0, 19, False),
    ],
)
def test_a_temperature_at_the_end_of_its_range_or_of_few_images_is_not_usable(
    temperature: float, images: int, usable: bool
) -> None:
    assert TemperatureFit(temperature, images, mistakes=1).usable == usable


def test_a_temperature_is_fitted_to_logits_beyond_the_range_of_exp() -> None:
    logits, labels = draw(200, 1.0)
    logits = np.where(np.arange(5) == 0, logits, logits - 5000)
    labels[:] = 0
    labels[:2] = 1
    assert fit_temperature(logits, labels).temperature == pytest.approx(MAX_TEMPERATURE, rel=1e-3)
