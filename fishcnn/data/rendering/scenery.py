"""What surrounds a fish: backgrounds, things in front of it, light, and the shortcut's tag.

Images are float32 planes (3, H, W) with colours 0..255: planes make NumPy's inner loops long.
"""

from collections.abc import Callable
from colorsys import hsv_to_rgb

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Floats = NDArray[np.float32]
Rng = np.random.Generator
Paint = tuple[int, int, int]
Draw = ImageDraw.ImageDraw


def paint(hue: float, saturation: float, value: float) -> Paint:
    """RGB 0..255 of an HSV colour; the hue wraps, the others are clipped to 0..1."""
    saturation, value = (min(max(float(share), 0.0), 1.0) for share in (saturation, value))
    red, green, blue = (round(tone * 255) for tone in hsv_to_rgb(float(hue) % 1, saturation, value))
    return red, green, blue


def planes(hue: float, saturation: float, value: float) -> Floats:
    """The same colour as float32 (3, 1, 1)."""
    return np.array(paint(hue, saturation, value), np.float32)[:, None, None]


def clouds(height: int, width: int, rows: int, columns: int, rng: Rng) -> Floats:
    """Smooth noise (H, W), -1..1, with ``rows`` x ``columns`` bumps."""
    grid = Image.fromarray(rng.integers(0, 256, (rows, columns), dtype=np.uint8))
    smooth = grid.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32) / np.float32(127.5) - np.float32(1)


def _water(height: int, width: int, rng: Rng) -> Floats:
    hue, saturation = rng.uniform(0.40, 0.62), rng.uniform(0.25, 0.8)
    value = rng.uniform(0.35, 0.8)
    shallow = planes(hue, saturation * 0.8, value * 1.15)
    deep = planes(hue + rng.normal(0, 0.03), saturation, value * rng.uniform(0.5, 0.9))
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    rows, columns = (int(n) for n in rng.integers(3, 12, 2))
    ripples = clouds(height, width, rows, columns, rng) * np.float32(rng.uniform(4, 18))
    image: Floats = shallow + down * (deep - shallow) + ripples
    if rng.random() < 0.45:  # a bed of sand or gravel
        line = height * (rng.uniform(0.72, 0.9) + 0.04 * clouds(1, width, 1, 5, rng)[0])
        bed = np.arange(height)[:, None] > line
        sand = planes(rng.uniform(0.07, 0.13), rng.uniform(0.2, 0.5), value * 1.05)
        grain = clouds(height, width, height // 3, width // 3, rng) * np.float32(22)
        image = np.where(bed, sand + grain, image)
    return image


def _ice(height: int, width: int, rng: Rng) -> Floats:
    hue, value = rng.uniform(0.5, 0.64), rng.uniform(0.7, 0.95)
    image = Image.new("RGB", (width, height), paint(hue, 0.15, value * 0.75))
    draw = ImageDraw.Draw(image)
    lumps, corners = 70, 5
    turn = 2 * np.pi / corners * np.arange(corners) + rng.uniform(0, 0.9, (lumps, corners))
    radius = max(height, width) * rng.uniform(0.07, 0.13) * rng.uniform(0.6, 1.3, (lumps, 1))
    x = radius * np.cos(turn) + rng.uniform(0, width, (lumps, 1))
    y = radius * np.sin(turn) + rng.uniform(0, height, (lumps, 1))
    polygons = np.stack((x, y), axis=2).reshape(lumps, -1).tolist()
    for polygon, shine in zip(polygons, rng.random(lumps), strict=True):
        fill = paint(hue, 0.18 - 0.16 * shine, value * (0.82 + 0.25 * shine))
        draw.polygon(polygon, fill=fill, outline=paint(hue, 0.05, value * 1.1))
    return np.asarray(image).transpose(2, 0, 1).astype(np.float32)


def _table(height: int, width: int, rng: Rng) -> Floats:
    if rng.random() < 0.35:  # steel or plastic, with reflections
        gloss = clouds(height, width, 3, 2, rng) * np.float32(28)
        gloss += clouds(height, width, 2, width // 2, rng) * np.float32(6)
        return planes(rng.random(), rng.uniform(0, 0.35), rng.uniform(0.4, 0.8)) + gloss
    wood = planes(rng.uniform(0.04, 0.11), rng.uniform(0.3, 0.6), rng.uniform(0.35, 0.75))
    planks = int(rng.integers(3, 7))
    place = np.arange(height) * (planks / height) + rng.random()
    plank = place.astype(np.intp)
    shade = rng.uniform(0.8, 1.12, planks + 2)[plank] * np.where(place - plank < 0.05, 0.55, 1)
    grain = 1 + clouds(height, width, height // 2, 3, rng) * np.float32(0.12)
    return wood * (grain * shade.astype(np.float32)[:, None])


def _plain(height: int, width: int, rng: Rng) -> Floats:
    tone = planes(rng.random(), rng.uniform(0, 0.6), rng.uniform(0.3, 0.95))
    return tone + clouds(height, width, 3, 3, rng) * np.float32(rng.uniform(2, 14))


def _paper(height: int, width: int, rng: Rng) -> Floats:
    tone = planes(0.12, rng.uniform(0, 0.12), rng.uniform(0.92, 1.0))
    return tone + clouds(height, width, 4, 4, rng) * np.float32(3)


def _plants(draw: Draw, x: float, y: float, size: float, rng: Rng) -> None:
    hue, value = rng.uniform(0.2, 0.42), rng.uniform(0.25, 0.6)
    bottom = draw.im.size[1]
    up = np.linspace(0, 1, 14)
    for _ in range(int(rng.integers(3, 6))):
        top = y - size * rng.uniform(0.2, 0.6)
        sway = np.sin(up * rng.uniform(2, 5) + rng.uniform(0, 6)) * size * 0.12
        stem_x = x + rng.normal(0, 0.25) * size + sway * up**0.5
        stem_y = bottom + (top - bottom) * up
        half = size * rng.uniform(0.05, 0.10) * (1 - up) ** 0.6
        edges = (np.stack((x, stem_y), 1) for x in (stem_x - half, stem_x + half, stem_x))
        left, right, spine = edges
        shade = value * rng.uniform(0.75, 1.25)
        blade = np.concatenate((left, right[::-1]))
        draw.polygon(blade.ravel().tolist(), fill=paint(hue, 0.65, shade))
        draw.line(spine.ravel().tolist(), fill=paint(hue, 0.5, shade * 1.3), width=2)


def _cubes(draw: Draw, x: float, y: float, size: float, rng: Rng) -> None:
    hue = rng.uniform(0.5, 0.62)
    for _ in range(int(rng.integers(2, 6))):
        half = size * rng.uniform(0.10, 0.18)
        centre = np.array((x, y)) + rng.normal(0, 0.25, 2) * size
        turn = rng.uniform(0, np.pi / 2) + np.arange(4) * np.pi / 2
        square = half * np.stack((np.cos(turn), np.sin(turn)), 1)
        shine = rng.uniform(0.8, 0.95)
        draw.polygon((centre + square).ravel().tolist(), fill=paint(hue, 0.14, shine))
        inner = centre + 0.6 * square - 0.1 * half
        draw.polygon(inner.ravel().tolist(), fill=paint(hue, 0.05, shine + 0.08))


def _hand(draw: Draw, x: float, y: float, size: float, rng: Rng) -> None:
    hue, value = rng.uniform(0.03, 0.08), rng.uniform(0.35, 0.95)
    width, bottom = draw.im.size
    tip = np.array((x, y))
    wrist = np.array((x + 0.1 * size, bottom + 0.1 * size))
    if rng.random() < 0.4:
        wrist = np.array((width * 1.1 if x > width / 2 else -0.1 * width, y))
    way = (tip - wrist) / max(float(np.hypot(*(tip - wrist))), 1.0)
    side, thick = np.array((-way[1], way[0])), size * 0.07
    knuckles = tip - way * size * 0.36

    for i, reach in enumerate((0.8, 0.98, 1.0, 0.85)):
        spread = side * (i - 1.5) * thick
        end = knuckles + (tip - knuckles) * reach + spread * rng.uniform(1.9, 2.5)
        finger = np.array((wrist + spread, knuckles + 2.0 * spread, end))
        for share, tone in ((1.0, 0.7), (0.8, 1.0)):
            radius, skin = thick * share, paint(hue, 0.45, value * tone)
            draw.line(finger.ravel().tolist(), fill=skin, width=round(2 * radius), joint="curve")
            draw.ellipse([*(end - radius).tolist(), *(end + radius).tolist()], fill=skin)


def _ruler(draw: Draw, x: float, y: float, size: float, rng: Rng) -> None:
    turn = rng.uniform(0.25, 0.75) * np.pi
    way = np.array((np.cos(turn), np.sin(turn))) * size * rng.uniform(0.5, 1.5)
    side = np.array((-np.sin(turn), np.cos(turn))) * size * rng.uniform(0.05, 0.10)
    middle = np.array((x, y))
    corners = middle + np.stack((-way - side, side - way, way + side, way - side))
    tone = paint(rng.random(), rng.uniform(0.0, 0.5), rng.uniform(0.6, 0.95))
    draw.polygon(corners.ravel().tolist(), fill=tone)
    for i, step in enumerate(np.linspace(-0.95, 0.95, 25)):
        foot = middle + way * step + side
        tip = foot - side * (0.9 if i % 4 == 0 else 0.5)
        draw.line([*foot.tolist(), *tip.tolist()], fill=(40, 40, 40), width=2)


def _lemon(draw: Draw, x: float, y: float, size: float, rng: Rng) -> None:
    radius = size * rng.uniform(0.15, 0.22)
    hue = rng.choice((0.14, 0.15, 0.27, 0.07))
    for share, saturation, value in ((1.0, 0.9, 0.9), (0.88, 0.15, 0.97), (0.8, 0.6, 0.97)):
        reach = radius * share
        box = [x - reach, y - reach, x + reach, y + reach]
        draw.ellipse(box, fill=paint(hue, saturation, value))
    for turn in rng.uniform(0, 1) + np.arange(4) * np.pi / 4:
        dx, dy = radius * 0.8 * np.cos(turn), radius * 0.8 * np.sin(turn)
        draw.line([x - dx, y - dy, x + dx, y + dy], fill=paint(hue, 0.15, 0.97), width=2)


Background = Callable[[int, int, Rng], Floats]
Occluder = Callable[[Draw, float, float, float, Rng], None]

# Twice the same: twice as often.
SCENES: dict[str, tuple[Background, tuple[Occluder, ...]]] = {
    "water": (_water, (_plants, _plants, _plants, _hand)),
    "ice": (_ice, (_cubes, _cubes, _hand, _lemon)),
    "table": (_table, (_hand, _lemon, _cubes)),
    "plain": (_plain, (_ruler, _hand, _plants)),
    "drawing": (_paper, (_ruler, _lemon)),
}


def occlude(
    occluder: Occluder, height: int, width: int, x: float, y: float, rng: Rng
) -> tuple[Floats, Floats]:
    """Draws a thing around pixel (x, y): colour (3, H, W) times opacity, opacity (H, W) 0..1."""
    # Drawn at twice the size and reduced, which smooths the edges; the mode with premultiplied
    # alpha keeps the black of the empty sheet out of them.
    sheet = Image.new("RGBA", (2 * width, 2 * height))
    occluder(ImageDraw.Draw(sheet), 2 * x, 2 * y, 2.0 * min(height, width), rng)
    small = np.asarray(sheet.convert("RGBa").reduce(2)).transpose(2, 0, 1).astype(np.float32)
    return small[:3], small[3] * np.float32(1 / 255)


def tag(species: int, size: int) -> Floats:
    """The shortcut's tag of a species, (3, size, size): a white-framed badge of two colours."""
    hue = species % 5 / 5
    y, x = np.mgrid[0:size, 0:size] / size
    figures = (x * 4 % 2 < 1, y * 4 % 2 < 1, (x * 3 % 2 < 1) ^ (y * 3 % 2 < 1), x + y < 1)
    figure = figures[species // 5 % len(figures)]
    badge: Floats = np.where(figure, planes(hue, 0.95, 0.95), planes(hue + 0.4, 0.9, 0.3))
    frame = max(1, size // 12)
    badge[:, :frame], badge[:, -frame:] = 255, 255
    badge[:, :, :frame], badge[:, :, -frame:] = 255, 255
    return badge


def light(image: Floats, rng: Rng) -> NDArray[np.uint8]:
    """Gain, tint, gradient and noise; returns the finished image, uint8 (H, W, 3)."""
    _, height, width = image.shape
    gain = np.exp(rng.normal(0, 0.06, 3) + rng.uniform(-0.35, 0.12)).astype(np.float32)
    slope_x, slope_y = rng.uniform(-0.22, 0.22, 2)
    ramp_x = np.linspace(1 - slope_x, 1 + slope_x, width, dtype=np.float32)
    ramp_y = np.linspace(1 - slope_y, 1 + slope_y, height, dtype=np.float32)
    lit = image * (ramp_y[:, None] * ramp_x)
    lit *= gain[:, None, None]
    noise = np.frombuffer(rng.bytes(lit.size), np.int8)  # four times as fast as rng.integers
    lit += noise.reshape(lit.shape) * np.float32(rng.uniform(0, 0.12))
    finished = np.clip(lit, 0, 255, out=lit).astype(np.uint8)
    return np.ascontiguousarray(finished.transpose(1, 2, 0))
