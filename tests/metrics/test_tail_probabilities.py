import math

import pytest
from scipy import special, stats

from fishcnn.metrics.tail_probabilities import f_tail, incomplete_beta, t_two_sided


@pytest.mark.parametrize("a", [0.5, 1, 2.7, 40, 5000])
@pytest.mark.parametrize("b", [0.5, 1, 3.3, 80])
def test_the_incomplete_beta_function_is_that_of_scipy(a: float, b: float) -> None:
    for x in (0, 1e-6, 0.01, 0.3, 0.5, 0.77, 0.999, 1):
        expected = special.betainc(a, b, x)
        assert incomplete_beta(a, b, x) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_tables_of_t_and_f_come_out() -> None:
    # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2 and 1.3.6.7.3.
    assert t_two_sided(2.228, 10) == pytest.approx(0.05, abs=2e-5)
    assert t_two_sided(-63.657, 1) == pytest.approx(0.01, abs=2e-6)
    assert f_tail(3.259, 4, 12) == pytest.approx(0.05, abs=2e-5)
    assert t_two_sided(0, 3.5) == 1
    assert (f_tail(0, 2, 7), f_tail(math.inf, 2, 7)) == (1, 0)
    assert t_two_sided(8.5, 4.3) == pytest.approx(2 * stats.t.sf(8.5, 4.3))
