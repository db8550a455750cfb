"""What is painted on a flank: functions of the place on the body.

Each takes ``along`` (0 nose .. 1 root of the tail) and ``across`` (-1 belly .. +1 back), both
float32 of shape (N,), and returns float32 (N,): 0 is the body's own colour, +1 the pattern's,
-1 the pale colour of the belly.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rng = np.random.Generator
Reals = NDArray[np.floating]


def _soft(x: Reals, sharpness: float) -> Floats:
    """0 where x is well below zero, 1 well above, with a soft edge."""
    soft: Floats = np.clip(0.5 + sharpness * x, 0, 1).astype(np.float32, copy=False)
    return soft


def _waves(phase: Reals, duty: float, sharpness: float) -> Floats:
    """One soft stripe per unit of ``phase``, ``duty`` of the way wide."""
    return _soft(np.cos(2 * np.pi * phase) - np.float32(np.cos(np.pi * duty)), sharpness)


def _bars(along: Floats, across: Floats, repeats: float, rng: Rng) -> Floats:
    lean = rng.uniform(-0.06, 0.06)
    phase = (along + lean * across * across - 0.1) * repeats / 0.95 + rng.uniform(-0.15, 0.15)
    return _waves(phase, rng.uniform(0.38, 0.5), 1.6)


def _chevrons(along: Floats, across: Floats, repeats: float, rng: Rng) -> Floats:
    phase = (along + 0.12 * np.abs(across)) * repeats + rng.uniform(0, 1)
    return _waves(phase, rng.uniform(0.35, 0.45), 1.6)


def _stripes(along: Floats, across: Floats, repeats: float, rng: Rng) -> Floats:
    phase = across * repeats / 2 + rng.uniform(-0.1, 0.1)
    return _waves(phase, rng.uniform(0.35, 0.48), 1.6)


def _spots(along: Floats, across: Floats, repeats: float, rng: Rng) -> Floats:
    """One round spot in every cell of a staggered grid, shifted and sized at random."""
    columns, rows = int(repeats) + 3, max(3, round(repeats * 0.36))
    row_place = np.clip((across + 1) * (rows / 2), 0, rows - 0.01)
    row = row_place.astype(np.intp)
    column_place = np.clip(along, 0, 1) * np.float32(repeats) + 0.5 * (row & 1)
    column = column_place.astype(np.intp)
    cell = row * columns + column
    shift = rng.uniform(-0.16, 0.16, (2, rows * columns)).astype(np.float32)
    radius = rng.uniform(0.22, 0.36, rows * columns).astype(np.float32)
    dx = column_place - column - 0.5 - shift[0].take(cell)
    dy = row_place - row - 0.5 - shift[1].take(cell)
    return _soft(radius.take(cell) - np.sqrt(dx * dx + dy * dy), 5.0)


def _net(along: Floats, across: Floats, repeats: float, rng: Rng) -> Floats:
    """A lattice of diamonds, like dark-edged scales."""
    a = (along + 0.17 * across) * repeats + rng.uniform(0, 1)
    b = (along - 0.17 * across) * repeats + rng.uniform(0, 1)
    return np.maximum(_waves(a, 0.27, 1.5), _waves(b, 0.27, 1.5))


def _marbling(along: Floats, across: Floats, repeats: float, rng: Rng) -> Floats:
    """Irregular blotches: three crossing waves, bent by one another."""
    p = rng.uniform(0, 2 * np.pi, 4)
    x = along * np.float32(2 * np.pi * repeats / 2)
    y = across * np.float32(3.2)
    bent = np.sin(x + p[0] + 1.3 * np.sin(1.4 * y + p[1]))
    bent += np.sin(1.6 * y + p[2] + 1.5 * np.sin(1.7 * x + p[3]))
    return _soft(bent - 0.15, 1.8)


def _saddles(along: Floats, across: Floats, repeats: float, rng: Rng) -> Floats:
    """Dark blotches that hang from the back."""
    hump = np.cos(2 * np.pi * (along * repeats + rng.uniform(-0.15, 0.15)))
    return _soft(across - 0.25 + 0.75 * hump - 0.45, 3.0)


PATTERNS: dict[str, Callable[[Floats, Floats, float, Rng], Floats]] = {
    "bars": _bars,
    "chevrons": _chevrons,
    "stripes": _stripes,
    "spots": _spots,
    "net": _net,
    "marbling": _marbling,
    "saddles": _saddles,
}


def _disc(along: Floats, across: Floats, x: float, y: float, radius: float) -> Reals:
    """Above 0 inside a disc around (x, y); the radius is in standard lengths."""
    # From belly to back is about half a standard length, along which ``across`` grows by 2.
    inside: Reals = radius - np.hypot(along - x, (across - y) * 0.25)
    return inside


def _ocellus(along: Floats, across: Floats) -> Floats:
    inside = _disc(along, across, 0.80, 0.42, 0.11)
    return _soft(inside - 0.035, 30.0) - _soft(inside, 30.0) * (inside < 0.035)


MARKS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "eye_band": lambda s, t: _soft(0.040 - np.abs(s - 0.13), 60.0),
    "tail_spot": lambda s, t: _soft(_disc(s, t, 0.80, 0.25, 0.085), 40.0),
    "ocellus": _ocellus,
    "lateral_band": lambda s, t: _soft(0.24 - np.abs(t - 0.05), 8.0),
    "dark_back": lambda s, t: _soft(t - 0.25, 5.0),
    "dark_front": lambda s, t: _soft(0.47 + 0.05 * t - s, 25.0),
}
