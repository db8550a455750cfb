"""Power laws of errors: recovered from what they made, and within their bounds."""

import numpy as np
import pytest

from fishcnn.metrics.power_law import PowerLaws, fit_power_laws

SIZES = np.array([50.0, 100, 150, 250, 400, 700, 1000])


def law(floor: float, scale: float, exponent: float, chance: float = 0.95) -> PowerLaws:
    return PowerLaws(np.array([floor]), np.array([scale]), np.array([exponent]), chance)


@pytest.mark.parametrize(
    ("floor", "scale", "exponent"), [(0.1, 3.0, 0.5), (0.0, 1.5, 0.25), (0.3, 20.0, 0.9)]
)
def test_a_law_is_recovered_from_its_own_errors(
    floor: float, scale: float, exponent: float
) -> None:
    true = law(floor, scale, exponent)
    found = fit_power_laws(SIZES, true.errors(SIZES), chance=0.95)
    assert found.floor[0] == pytest.approx(floor, abs=1e-6)
    assert found.scale[0] == pytest.approx(scale, rel=1e-6)
    assert found.exponent[0] == pytest.approx(exponent)
    far = np.array([5000.0])
    assert found.errors(far) == pytest.approx(true.errors(far), abs=1e-6)


def test_errors_begin_at_chance_and_end_in_a_power_law_that_was_worked_out_by_hand() -> None:
    # 0.1 + 2 * 100 ** -0.5 = 0.3, and 0.3 / sqrt(1 + (0.3 / 0.4) ** 2) = 0.24.
    one = law(0.1, 2.0, 0.5, chance=0.4)
    assert one.errors(np.array([100.0]))[0, 0] == pytest.approx(0.24)
    assert one.errors(np.array([1e-6]))[0, 0] == pytest.approx(0.4, abs=1e-4)


def test_of_several_rows_each_gets_its_own_law() -> None:
    rows = np.concatenate([law(0.1, 3.0, 0.5).errors(SIZES), law(0.0, 1.0, 0.25).errors(SIZES)])
    found = fit_power_laws(SIZES, rows, chance=0.95)
    assert found.exponent == pytest.approx([0.5, 0.25])
    assert found.floor == pytest.approx([0.1, 0.0], abs=1e-6)


def test_errors_that_rise_are_taken_for_constant_ones() -> None:
    found = fit_power_laws(SIZES, np.linspace(0.3, 0.5, 7)[None], chance=0.95)
    assert found.scale[0] == 0
    twice = found.errors(np.array([1000.0, 2000.0]))[0]
    assert twice[0] == twice[1]
    assert 0.3 < twice[0] < 0.5


def test_no_law_promises_an_error_below_nothing() -> None:
    falling = np.linspace(0.9, 0.02, 7)[None]
    found = fit_power_laws(SIZES, falling, chance=0.95)
    assert found.floor[0] == 0
    assert found.errors(np.array([1e9]))[0, 0] >= 0


def test_errors_worse_than_chance_do_not_count() -> None:
    true = law(0.1, 3.0, 0.5).errors(SIZES)
    true[0, 0] = 0.99
    found = fit_power_laws(SIZES, true, chance=0.95)
    assert np.isfinite(found.errors(SIZES)).all()
    assert found.exponent[0] == pytest.approx(0.5, abs=0.1)
