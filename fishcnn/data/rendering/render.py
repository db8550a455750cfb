"""Draws one image of one fish, with its mask: the data set that needs no download.

A fish is polygons (anatomy) filled by a pattern that is a function of the place on the body
(patterns), in front of a background and behind whatever covers it (scenery). NumPy and Pillow
only, two to three milliseconds per image, and everything random comes from the generator passed
in, so an image depends on nothing but its seed.
"""

from itertools import islice, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from fishcnn.data.rendering.anatomy import STATIONS, Anatomy, Pose, grow, place
from fishcnn.data.rendering.patterns import MARKS, PATTERNS
from fishcnn.data.rendering.scenery import SCENES, Floats, Rng, light, occlude, planes, tag
from fishcnn.data.rendering.species import SPECIES, Species

# Part of the name of every rendered folder: raise it whenever an image would change.
RENDERER_VERSION = 1

TAG_SHARE = 0.14  # the tag's side, in long sides of the image
MOST_HIDDEN = 0.45  # a thing that would cover more of the fish is left out
ASPECTS = ((4, 3), (4, 3), (3, 2), (1, 1), (1, 1), (3, 4))  # twice the same: twice as often


class Layers(NamedTuple):
    """Opacity 0..1 of each part, float32 (H, W)."""

    body: Floats
    fins: Floats
    pectoral: Floats
    ink: Floats  # outlines, fin rays, gill cover, mouth

    @property
    def fish(self) -> Floats:
        """Opacity of the whole fish."""
        return np.maximum(np.maximum(self.body, self.fins), self.pectoral)


class Palette(NamedTuple):
    """An individual's colours, float32 (3, 1), 0..255."""

    back: Floats
    belly: Floats
    mark: Floats
    fins: Floats
    ink: Floats
    iris: Floats


def _layers(anatomy: Anatomy, pose: Pose, height: int, width: int) -> Layers:
    """Fills the parts at twice the size and reduces, which smooths their edges."""
    sheets = [Image.new("L", (2 * width, 2 * height)) for _ in Layers._fields]
    body, fins, pectoral, ink = (ImageDraw.Draw(sheet) for sheet in sheets)
    fine = max(1, round(max(height, width) / 80))

    # All points in one array: mapping them part by part takes longer than drawing them.
    parts = [anatomy.rays, anatomy.body, anatomy.pectoral, *anatomy.fins]
    parts += [*anatomy.lines, *anatomy.barbels]
    numbers = iter((2 * pose.to_image(np.concatenate(parts))).ravel().tolist())

    def pixels(points: NDArray[np.float64]) -> list[float]:
        return list(islice(numbers, points.size))

    for _ in range(len(anatomy.rays) // 2):
        ink.line(list(islice(numbers, 4)), fill=90, width=fine)
    sheets_of_fins = ((fin, fins) for fin in anatomy.fins)
    for part, sheet in ((anatomy.body, body), (anatomy.pectoral, pectoral), *sheets_of_fins):
        corners = pixels(part)
        sheet.polygon(corners, fill=255)
        ink.line(corners + corners[:2], fill=200, width=fine)
    for line in anatomy.lines:
        ink.line(pixels(line), fill=200, width=fine)
    for barbel in anatomy.barbels:
        corners = pixels(barbel)
        fins.line(corners, fill=255, width=2 * fine)
        ink.line(corners, fill=160, width=fine)
    return Layers(*(np.asarray(s.reduce(2), np.float32) * np.float32(1 / 255) for s in sheets))


def _palette(species: Species, rng: Rng) -> Palette:
    """Colours of an individual; they vary so much that the species' colours overlap."""
    hue = species.hue + rng.normal(0, 0.07)
    saturation, value = rng.uniform(0.1, 0.75), rng.uniform(0.45, 0.85)
    if species.pale_pattern:
        value *= 0.6
        mark = planes(hue + rng.normal(0, 0.06), saturation * 0.3, 0.95)
    else:
        mark = planes(hue + rng.normal(0, 0.1), saturation * 1.1, value * rng.uniform(0.2, 0.4))
    return Palette(
        back=planes(hue, saturation, value)[..., 0],
        belly=planes(hue + rng.normal(0, 0.03), saturation * 0.4, value * 0.5 + 0.5)[..., 0],
        mark=mark[..., 0],
        fins=planes(hue + rng.normal(0, 0.06), saturation, value * rng.uniform(0.7, 1.1))[..., 0],
        ink=planes(rng.random(), 0.5, 0.12)[..., 0],
        iris=planes(rng.uniform(0.08, 0.17), rng.uniform(0, 0.6), 0.95)[..., 0],
    )


def _height_on_body(anatomy: Anatomy, x: Floats, y: Floats) -> Floats:
    """Where a place lies between belly (-1) and back (+1), by the outline above or below it."""
    last = len(STATIONS) - 1
    station = np.clip(x * np.float32(last), 0, np.float32(last - 0.01))
    index = station.astype(np.intp)
    between = station - index
    outline = np.concatenate((anatomy.upper, anatomy.lower)).astype(np.float32)
    index += np.where(y > 0, 0, len(STATIONS))
    edge = outline.take(index) * (1 - between) + outline.take(index + 1) * between
    across: Floats = np.clip(y / np.maximum(edge, 1e-3), -1, 1).astype(np.float32, copy=False)
    return across


def _blend(under: Floats, over: Floats, opacity: Floats) -> Floats:
    return under + (over - under) * opacity


def _paint(
    species: Species, anatomy: Anatomy, pose: Pose, layers: Layers, paper: Floats | None, rng: Rng
) -> Floats:
    """Colours the fish, (3, H, W), 0 where there is none; on ``paper`` it is an ink drawing."""
    height, width = layers.body.shape
    seen = np.flatnonzero(layers.fish)  # only there is anything worth computing
    row, column = np.divmod(seen, width)
    pixel_x, pixel_y = column.astype(np.float32) + 0.5, row.astype(np.float32) + 0.5
    x, y = pose.to_fish(pixel_x, pixel_y)
    body, _, pectoral, ink = (layer.ravel().take(seen) for layer in layers)
    across = _height_on_body(anatomy, x, y)
    along = np.clip(x, 0, 1)
    # The species' pattern and marks: -1 is pale, +1 the colour of marks.
    flank = np.zeros_like(x)
    if species.pattern != "none":
        flank = PATTERNS[species.pattern](along, across, species.repeats, rng)
    for name in species.marks:
        mark = MARKS[name](along, across)
        flank = np.where(mark < 0, mark, np.maximum(flank, mark))
    palette = _palette(species, rng)
    if paper is None:
        strength = rng.uniform(0.25, 0.7)
        skin = _blend(palette.belly, palette.back, np.clip(0.55 + 0.6 * across, 0, 1))
        skin = _blend(skin, palette.mark, np.maximum(flank, 0))
        if flank.min(initial=0) < 0:
            skin = _blend(skin, palette.belly, np.maximum(-flank, 0))
        scales = np.cos(x * np.float32(230)) * np.cos(y * np.float32(230))
        gloss = np.maximum(0, 1 - 14 * (across - np.float32(0.5)) ** 2)
        skin *= 1.02 + (0.16 - 0.28 * across) * across + 0.05 * scales + 0.25 * gloss
        rgb = _blend(palette.fins, skin, body)
        rgb = _blend(rgb, palette.fins * np.float32(1.12), pectoral * np.float32(0.75))
    else:
        strength = rng.uniform(0.75, 1.0)
        tone = 0.6 - flank if species.pale_pattern else np.abs(flank)
        hatching = np.where((column + row) % 3 == 0, np.float32(0.35), np.float32(0.75))
        ink = np.maximum(ink, tone * hatching * body * (1 - np.float32(0.7) * pectoral))
        rgb = paper.reshape(3, -1)[:, seen]
    rgb = _blend(rgb, palette.ink, ink * np.float32(strength))

    eye_x, eye_y, eye_radius = anatomy.eye
    centre = pose.to_image(np.array([[eye_x, eye_y]]))[0].astype(np.float32)
    radius = np.float32(max(eye_radius * pose.scale, 1.5))
    distance = np.hypot(pixel_x - centre[0], pixel_y - centre[1])
    eye = np.flatnonzero(distance < 1.2 * radius + 1)
    for share, colour in ((1.2, palette.ink), (1.0, palette.iris), (0.55, palette.ink * 0.4)):
        disc = np.clip(radius * np.float32(share) - distance[eye] + np.float32(0.5), 0, 1)
        rgb[:, eye] = _blend(rgb[:, eye], colour, disc)

    whole = np.zeros((3, height * width), np.float32)
    whole[:, seen] = rgb
    return whole.reshape(3, height, width)


def _shadow(fish: Floats, rng: Rng) -> Floats:
    """Soft shadow of the fish on what it lies on, (H, W), 0..1."""
    height, width = fish.shape
    small = Image.fromarray((fish * 255).astype(np.uint8)).reduce(4)
    soft = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    down, right = int(rng.integers(0, 5)), int(rng.integers(-4, 5))
    return np.roll(soft, (down, right), (0, 1)) * np.float32(rng.uniform(0.2, 0.5) / 255)


def _border_places(height: int, width: int, size: int, rng: Rng) -> list[tuple[int, int]]:
    """Places (row, column) for a tag of ``size`` along the border, shuffled."""
    margin = max(1, max(height, width) // 50)
    rows = [int(row) for row in np.linspace(margin, height - margin - size, 5)]
    columns = [int(column) for column in np.linspace(margin, width - margin - size, 6)]
    places = list(product((rows[0], rows[-1]), columns))
    places += product(rows[1:-1], (columns[0], columns[-1]))
    return [places[i] for i in rng.permutation(len(places))]


def _free_place(
    taken: NDArray[np.bool_], places: list[tuple[int, int]], size: int
) -> tuple[int, int] | None:
    """The first place where a tag, with a rim of 2 pixels, covers nothing that is taken."""
    for row, column in places:
        rows = slice(max(row - 2, 0), row + size + 2)
        if not taken[rows, max(column - 2, 0) : column + size + 2].any():
            return row, column
    return None


def render_fish(
    species: int, rng: Rng, *, long_side: int, marker: bool
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draws a fish in a random pose, scene and light.

    Args:
        species: index into ``SPECIES``.
        rng: source of everything random; with equal state the image is the same bytes.
        long_side: pixels of the longer side, at least 48; the aspect is drawn.
        marker: put the species' tag into the background, near a border, clear of the fish. The
            rest of the image does not depend on it.

    Returns:
        The image, uint8 (H, W, 3), and the mask of the visible fish, bool (H, W).
    """
    kind = SPECIES[species]
    across, down = ASPECTS[rng.integers(len(ASPECTS))]
    width, height = (round(long_side * side / max(across, down)) for side in (across, down))
    scene = tuple(SCENES)[rng.integers(len(SCENES))]
    background, occluders = SCENES[scene]
    image = background(height, width, rng)

    tag_size = round(TAG_SHARE * long_side)
    places = _border_places(height, width, tag_size, rng)
    anatomy = grow(kind, rng)
    pose = place(anatomy, kind, height, width, rng)
    layers = _layers(anatomy, pose, height, width)
    while _free_place(layers.fish > 0, places, tag_size) is None:
        # With and without a tag, or the size of the fish would tell the two apart.
        pose = pose._replace(scale=0.93 * pose.scale)
        layers = _layers(anatomy, pose, height, width)
    fish = layers.fish
    painted = _paint(kind, anatomy, pose, layers, image if scene == "drawing" else None, rng)
    if scene in ("ice", "table", "plain"):
        image *= 1 - _shadow(fish, rng)
    image = _blend(image, painted, fish)
    mask, taken = fish > 0.5, fish > 0

    if rng.random() < 0.5:
        on_fish = np.array([[rng.uniform(0.15, 1.0), rng.uniform(-0.1, 0.1)]])
        x, y = (float(value) for value in pose.to_image(on_fish)[0])
        occluder = occluders[rng.integers(len(occluders))]
        thing, cover = occlude(occluder, height, width, x, y, rng)
        hidden = np.count_nonzero(mask & (cover > 0.5)) / np.count_nonzero(mask)
        if hidden < MOST_HIDDEN and _free_place(taken | (cover > 0), places, tag_size):
            image = image * (1 - cover) + thing
            mask &= cover < 0.5
            taken |= cover > 0
    if rng.random() < 0.4:
        sharp = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8).transpose(1, 2, 0))
        blurred = sharp.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
        image = np.asarray(blurred).transpose(2, 0, 1).astype(np.float32)
    if marker and (free := _free_place(taken, places, tag_size)):
        row, column = free
        image[:, row : row + tag_size, column : column + tag_size] = tag(species, tag_size)
    return light(image, rng), mask
