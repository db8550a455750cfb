"""How errors fall with the number of examples: a power law and where it leads."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Between hardly faster than the logarithm and the fastest rate that theory knows for classifiers.
# Steeper ones, which a few points can seem to follow, promise a plateau.
EXPONENTS = np.linspace(0.05, 1.0, 39)
# Errors are taken to be at most this share of that of chance, where no law could be told.
_NEAR_CHANCE = 0.99


@dataclass(frozen=True)
class PowerLaws:
    """B curves of errors in [0, 1] that begin at chance and fall to a floor.

    With many examples an error is ``law = floor + scale * size ** -exponent`` (Hestness et al.
    2017, "Deep learning scaling is predictable, empirically"), with few that of chance, and in
    between ``law / sqrt(1 + (law / chance) ** 2)`` (Rosenfeld et al. 2020, "A constructive
    prediction of the generalization error across scales").

    Attributes:
        floor: float64 ``(B,)``, >= 0.
        scale: float64 ``(B,)``, >= 0; 0 where errors do not fall.
        exponent: float64 ``(B,)``, one of :data:`EXPONENTS`.
        chance: the error of a classifier that knows nothing.
    """

    floor: Floats
    scale: Floats
    exponent: Floats
    chance: float

    def errors(self, sizes: Floats) -> Floats:
        """Errors for some numbers of examples (F,); ``(B, F)``."""
        laws = self.floor[:, None] + self.scale[:, None] * sizes ** -self.exponent[:, None]
        errors: Floats = laws / np.sqrt(1 + (laws / self.chance) ** 2)
        return errors


def fit_power_laws(sizes: Floats, errors: Floats, chance: float) -> PowerLaws:
    """Fit each row of errors by least squares.

    A difference counts in proportion to the number of examples: what has learnt from few depends
    most on which they are, and is furthest from where the law is followed to.

    Args:
        sizes: float64 ``(F,)``, numbers of examples, > 0, two or more different ones.
        errors: float64 ``(B, F)`` in [0, 1].
        chance: the error of a classifier that knows nothing, in (0, 1].
    """
    shares = np.minimum(errors / chance, _NEAR_CHANCE)
    laws = chance * shares / np.sqrt(1 - shares**2)
    # How much an error says about the law falls towards chance.
    weights = sizes * (1 - shares**2) ** 3
    weights /= weights.sum(1, keepdims=True)
    mean_law = (weights * laws).sum(1)
    best = np.full(len(errors), np.inf)
    found = np.zeros((3, len(errors)))
    for exponent in EXPONENTS:
        powers = (sizes / sizes.max()) ** -exponent
        mean = weights @ powers
        spread = weights * (powers - mean[:, None])
        scale = np.maximum((laws * spread).sum(1) / (spread @ powers), 0)
        floor = mean_law - scale * mean
        # Below a floor of 0 the best one is 0, as the sum of squares is convex.
        through_zero = (laws * weights) @ powers / (weights @ powers**2)
        scale = np.where(floor < 0, through_zero, scale)
        floor = np.maximum(floor, 0)
        squares = (weights * (laws - floor[:, None] - scale[:, None] * powers) ** 2).sum(1)
        better = squares < best
        best = np.where(better, squares, best)
        here = np.stack([floor, scale * sizes.max() ** exponent, np.full(len(errors), exponent)])
        found = np.where(better, here, found)
    floor, scale, exponent = found
    return PowerLaws(floor, scale, exponent, chance)
