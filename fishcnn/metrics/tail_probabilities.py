"""Tail probabilities of Student's t and of F; standard library only."""

import math

_TERMS, _PRECISION = 10_000, 1e-14
_TINY = 1e-300


def t_two_sided(t: float, degrees: float) -> float:
    """Probability that Student's t is at least as far from 0, for degrees of freedom above 0."""
    return incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t))


def f_tail(f: float, numerator: float, denominator: float) -> float:
    """Probability that F, of so many degrees of freedom above and below, is at least so large."""
    if math.isinf(f):
        return 0.0
    place = denominator / (denominator + numerator * f)
    return incomplete_beta(denominator / 2, numerator / 2, place)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, for a and b above 0 and x in [0, 1].

    By its continued fraction (Abramowitz & Stegun 1964, 26.5.8), evaluated as Lentz did.
    """
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly
        return 1 - incomplete_beta(b, a, 1 - x)
    beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - beta) / a
    upper, lower = 1.0, 0.0
    fraction = 1.0
    for term in range(_TERMS):
        half = term // 2
        if term == 0:
            step = 1.0
        elif term % 2:
            step = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            step = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        lower = 1 / _away_from_0(1 + step * lower)
        upper = _away_from_0(1 + step / upper)
        fraction *= upper * lower
        if term and abs(1 - upper * lower) < _PRECISION:
            break
    return front * (fraction - 1)


def _away_from_0(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
