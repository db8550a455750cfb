"""The shape of one individual fish, as polygons in the fish frame, and its pose in an image."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.rendering.species import Fin, Species

Floats = NDArray[np.float64]
Rng = np.random.Generator
STATIONS: Floats = np.linspace(0.0, 1.0, 49)


class Anatomy(NamedTuple):
    """One individual in the fish frame; every polygon and line is (N, 2)."""

    upper: Floats  # height of the back above the axis at STATIONS
    lower: Floats  # depth of the belly below the axis
    body: Floats
    fins: list[Floats]
    pectoral: Floats
    barbels: list[Floats]
    lines: list[Floats]  # gill cover and mouth
    rays: Floats  # (2 R, 2): foot and tip of each
    eye: tuple[float, float, float]  # x, y, radius

    @property
    def outlines(self) -> list[Floats]:
        """Every part that has an edge."""
        return [self.body, *self.fins, self.pectoral]


class Pose(NamedTuple):
    """Where a fish lies in the image: from the fish frame to pixels and back."""

    scale: float  # pixels per standard length
    x: float  # pixel of the fish's middle
    y: float
    angle: float  # radians, anticlockwise
    flip: int  # +1 nose to the left, -1 to the right
    foreshortening: float  # seen length / true length
    bend: float  # curve of the backbone, in standard lengths
    wave: float
    middle: float  # the fish's middle in the fish frame

    def to_image(self, points: Floats) -> Floats:
        """Maps points (N, 2) of the fish frame to pixels (N, 2)."""
        along = (points[:, 0] - self.middle) * (self.flip * self.foreshortening)
        across = points[:, 1] + self._backbone(points[:, 0])
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        x = self.x + self.scale * (along * cos - across * sin)
        y = self.y - self.scale * (along * sin + across * cos)
        return _points(x, y)

    def to_fish(
        self, x: NDArray[np.float32], y: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Maps pixels to the fish frame; the inverse of ``to_image``."""
        single = np.float32
        a = (x - single(self.x)) / single(self.scale)
        b = (single(self.y) - y) / single(self.scale)
        cos, sin = single(np.cos(self.angle)), single(np.sin(self.angle))
        along = (a * cos + b * sin) * single(self.flip / self.foreshortening) + single(self.middle)
        across = b * cos - a * sin - self._backbone(along).astype(np.float32)
        return along, across

    def _backbone(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        from_middle = x - 0.45
        curve: NDArray[np.floating] = self.bend * 4 * from_middle**2 + self.wave * np.sin(6 * x)
        return curve


def _points(x: Floats, y: Floats) -> Floats:
    return np.stack((x, y), axis=1)


def _arch(x: Floats, peak: float, rise: float, fall: float) -> Floats:
    """A hump over 0..1 that is 1 at ``peak`` and 0 at both ends."""
    up = np.sin(np.pi / 2 * np.clip(x / peak, 0, 1)) ** rise
    down = np.cos(np.pi / 2 * np.clip((x - peak) / (1 - peak), 0, 1)) ** fall
    return np.where(x < peak, up, down)


def _fin(fin: Fin, base: Floats, side: int, spread: float) -> tuple[Floats, Floats]:
    """Polygon and rays of a fin on the back (side +1) or belly (side -1)."""
    steps = 2 * fin.spines if fin.spines else 12
    place = np.linspace(0, 1, steps + 1)
    foot_x = fin.start + place * (fin.end - fin.start)
    foot_y = np.interp(foot_x, STATIONS, base)
    rise = fin.height * spread * _arch(place, fin.peak, 0.7, 0.8)
    if fin.spines:
        rise[::2] *= 0.8
    tip_x, tip_y = foot_x + fin.sweep * rise, foot_y + rise
    foot, tip = _points(foot_x, side * foot_y * 0.8), _points(tip_x, side * tip_y)
    rays = np.concatenate((foot[1:-1:2], tip[1:-1:2]), axis=1).reshape(-1, 2)
    return np.concatenate((tip, foot[::-1])), rays


def _tail(species: Species, stalk: float, spread: float) -> tuple[Floats, Floats]:
    """Polygon and rays of the tail fin on a stalk of half-height ``stalk``."""
    tail = species.tail
    side = np.linspace(1, -1, 17)
    reach = np.abs(side)
    depth = 1 - tail.fork * (1 - reach) if tail.fork > 0 else 1 + tail.fork * reach**2
    rear = _points(1 + tail.length * depth, tail.spread * spread * side)
    lobe = np.linspace(0, 1, 7)
    top = _points(1 + tail.length * lobe, stalk + (tail.spread * spread - stalk) * lobe**0.8)
    top = top[top[:, 0] <= rear[0, 0]]  # the corners of a round tail are cut
    bottom = top[::-1] * (1, -1)
    root = np.array([[0.93, -stalk * 0.6], [0.93, stalk * 0.6]])
    tips = rear[2:-2:3]
    rays = np.concatenate((tips * (0, 0.25) + (1, 0), tips), axis=1).reshape(-1, 2)
    return np.concatenate((top, rear, bottom, root)), rays


def _teardrop(x: float, y: float, length: float, width: float, angle: float) -> Floats:
    """A fin that starts as a point at (x, y) and widens along ``angle``."""
    turn = np.linspace(0, 2 * np.pi, 17)[:-1]
    along = length * (0.5 - 0.5 * np.cos(turn))
    across = width * np.sin(turn) * (0.35 + 0.65 * along / length)
    cos, sin = np.cos(angle), np.sin(angle)
    return _points(x + along * cos - across * sin, y + along * sin + across * cos)


def grow(species: Species, rng: Rng) -> Anatomy:
    """Draws one individual: its species' outline with small deviations, fins more or less open."""
    depth = species.depth * rng.uniform(0.93, 1.07)
    open_fins = rng.uniform(0.8, 1.1)
    stalk = species.peduncle
    hump = _arch(STATIONS, species.peak, species.blunt, 1.5)
    hump = np.where(species.peak > STATIONS, hump, stalk + (1 - stalk) * hump)  # ends in a stalk
    upper, lower = hump * depth * (1 - species.belly), hump * depth * species.belly
    body = np.concatenate((_points(STATIONS, upper), _points(STATIONS, -lower)[::-1]))
    grown = [_fin(fin, upper, 1, open_fins) for fin in species.above]
    grown += [_fin(fin, lower, -1, open_fins) for fin in species.below]
    grown.append(_tail(species, stalk * depth / 2, open_fins))
    pectoral = _teardrop(
        0.29, -0.12 * depth, species.pectoral, species.pectoral * 0.3, rng.uniform(-0.7, -0.1)
    )

    gill_turn = np.linspace(-1.1, 1.1, 9)
    gill = _points(0.19 + 0.05 * np.cos(gill_turn), 0.36 * depth * np.sin(gill_turn))
    mouth = np.array([[0.0, 0.0], [0.03, -0.03 * depth], [0.055, -0.10 * depth]])
    start = np.array((0.03, -0.06 * depth))
    curl = np.linspace(0, 1, 6)[:, None]
    barbels = [
        start + species.barbels * np.hstack((reach * curl, -drop * curl**0.7))
        for reach, drop in ((0.55, 0.75), (-0.2, 0.85))
        if species.barbels
    ]
    eye_x = 0.10 + 0.03 * (species.blunt > 0.7)
    eye_y = 0.35 * float(np.interp(eye_x, STATIONS, upper))
    radius = float(np.clip(0.11 * depth, 0.022, 0.042))
    return Anatomy(
        upper=upper,
        lower=lower,
        body=body,
        fins=[polygon for polygon, _ in grown],
        pectoral=pectoral,
        barbels=barbels,
        lines=[gill, mouth],
        rays=np.concatenate([rays for _, rays in grown]),
        eye=(eye_x, eye_y, radius),
    )


def place(anatomy: Anatomy, species: Species, height: int, width: int, rng: Rng) -> Pose:
    """Picks a pose that shows the whole fish and covers a drawn share of the image."""
    share = rng.uniform(0.12, 0.50)
    foreshortening = rng.uniform(0.8, 1.0)
    slender = 1 - min(species.depth / 0.4, 1)
    angle = np.radians(np.clip(rng.normal(0, 15), -35, 35))
    area = 0.0  # by the shoelace formula
    for along, across in (polygon.T for polygon in (anatomy.body, *anatomy.fins)):
        area += abs(float(along @ np.roll(across, 1) - across @ np.roll(along, 1))) / 2
    pose = Pose(
        scale=float(np.sqrt(share * height * width / (area * foreshortening))),
        x=0.0,
        y=0.0,
        angle=float(angle),
        flip=1 if rng.random() < 0.5 else -1,
        foreshortening=float(foreshortening),
        bend=float(rng.uniform(-0.05, 0.05)),
        wave=float(rng.uniform(-0.03, 0.03) * slender),
        middle=(1 + species.tail.length) / 2,
    )
    points = pose.to_image(np.concatenate(anatomy.outlines))
    low, high = points.min(axis=0), points.max(axis=0)
    room = np.array((width, height)) * 0.98
    shrink = float(min(1.0, (room / (high - low)).min()))
    low, high = low * shrink, high * shrink
    spare = np.maximum(np.array((width, height)) - (high - low), 0)
    corner = spare * np.clip(rng.normal(0.5, 0.25, 2), 0, 1)
    x, y = corner - low
    return pose._replace(scale=pose.scale * shrink, x=float(x), y=float(y))
