"""Whether two images show the same: one is laid over the other and compared.

Both colour and texture must agree almost everywhere: a fish in the pose of another on a ground of
its own fails in colour, another fish on the same ground fails in texture.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fishcnn.data.duplicates.alignment import Bools, Floats, guess_maps, lay_over, refine
from fishcnn.data.duplicates.fingerprint import Features, blur

# Pixels of the squares that images are compared at; both are multiples of their blocks.
_FINE, _COARSE = 48, 24
_FINE_STEPS, _COARSE_STEPS = 3, 4

# The smaller image must lie in the larger with so much of its area, and fill so much of it: a
# crop of 15 % a side leaves 0.49.
_MIN_INSIDE, _MIN_FILLED = 0.75, 0.35
# These thresholds were set on rendered images with planted near-duplicates: 99 of 100 of these are
# above them, and nearly all other pairs are below one of them.
_COLOUR_TOLERANCE = 15.0
_MIN_SAME_COLOUR = 0.8
# Blocks along each side, and how many rows of them a bar of 15 % reaches into.
_GRID, _BAR_ROWS = 8, 2
_MIN_CORRELATION = 0.8
_MIN_SAME_TEXTURE = 0.6
# Standard deviations in grey levels: less is no texture, more does not count more.
_FLAT, _SATURATED = 1.5, 8.0
_MIN_TEXTURED_BLOCKS = 3
# Likewise, without the finest detail: the noise of a camera is less.
_MIN_TEXTURE = 2.5
# Standard deviations in pixels of _FINE: of the finest detail, and of a pixel's surroundings.
_SMOOTH, _SURROUNDINGS = 1.0, _FINE / 10
# A guess is some pixels off, so it is judged mildly.
_MIN_GUESSED_COLOUR, _MIN_GUESSED_CORRELATION = 0.4, 0.1


class Rows(Protocol):
    """Images, uint8 (N, S, S, 3), of which some are taken at a time."""

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """Take rows in ascending order."""
        ...


class _Squares(NamedTuple):
    """C images at the two sizes at which they are compared, float32."""

    colour: Floats  # (C, 3, _COARSE, _COARSE), from 0 to 255
    grey: Floats  # (C, _FINE, _FINE), from 0 to 255
    coarse: Floats  # (C, _COARSE, _COARSE), grey less its surroundings' mean
    fine: Floats  # (C, _FINE, _FINE), likewise

    def rows(self, rows: NDArray[np.int64]) -> "_Squares":
        return _Squares(*(part[rows] for part in self))


def show_the_same(
    features: Features, images: Rows, aspect: Floats, pairs: NDArray[np.int64]
) -> Bools:
    """Compare the two images of each pair, int64 (C, 2); bool (C,).

    Only the rows of the pairs are read; memory is about half a megabyte a pair. ``aspect`` is
    float32 (N,), width / height of the originals.
    """
    first, second, guesses = _compared(features, images, aspect, pairs)
    maps, plausible = _best_guess(first, second, guesses)
    answer = np.zeros(len(pairs), bool)
    if plausible.any():
        rows = np.flatnonzero(plausible)
        first, second = first.rows(rows), second.rows(rows)
        answer[rows] = _agree(first, second, _refined(first, second, maps[rows]))
    return answer


def similarity(
    features: Features, images: Rows, aspect: Floats, pairs: NDArray[np.int64]
) -> Floats:
    """Correlate the two images of each pair, laid over each other as well as they can be.

    Compared is what stands out from its surroundings in the part that both show, without the finest
    detail, which re-encoding and scaling change. Arguments are those of show_the_same().

    Returns:
        float32 (C,), up to 1 for the same image.
    """
    first, second, guesses = _compared(features, images, aspect, pairs)
    maps, _ = _best_guess(first, second, guesses)
    maps = _refined(first, second, maps)
    values, inside = lay_over(second.grey, maps)
    # Only now, as the pixels of a crop are smaller than those of the whole.
    one, other = (_standing_out(grey, inside.astype(np.float32)) for grey in (first.grey, values))
    bar = _BAR_ROWS * (_FINE // _GRID)
    correlations = []
    for rows in (slice(None), slice(bar, None), slice(None, -bar)):
        products = (one * other, one**2, other**2)
        both, mine, its = (product[:, rows].sum(axis=(1, 2)) for product in products)
        correlations.append(both / np.sqrt(mine * its).clip(1))
    return np.asarray(np.max(correlations, axis=0), np.float32)


def share_of_texture(images: NDArray[np.uint8]) -> Floats:
    """Measure the share of the area of images, uint8 (C, S, S, 3), that has texture; float32 (C,).

    The noise of a camera on plain ground is none.
    """
    blocks = _blocks(blur(_squares(images).grey, _SMOOTH))
    return np.asarray((blocks.std(axis=-1) > _MIN_TEXTURE).mean(axis=(1, 2)), np.float32)


def _standing_out(grey: Floats, seen: Floats) -> Floats:
    """What differs from its surroundings, without the finest detail, in the part that is seen."""
    smooth, around = (
        blur(grey * seen, sigma) / blur(seen, sigma).clip(1e-3)
        for sigma in (_SMOOTH, _SURROUNDINGS)
    )
    return np.asarray((smooth - around) * seen)


def _compared(
    features: Features, images: Rows, aspect: Floats, pairs: NDArray[np.int64]
) -> tuple[_Squares, _Squares, Floats]:
    """The two images of each pair, and guesses of how they lie in each other."""
    rows, place = np.unique(pairs, return_inverse=True)
    squares = _squares(images[rows])
    i, j = place.reshape(pairs.shape).T
    return squares.rows(i), squares.rows(j), guess_maps(features, aspect, pairs)


def _refined(first: _Squares, second: _Squares, maps: Floats) -> Floats:
    maps = refine(first.coarse, second.coarse, maps, _COARSE_STEPS)
    return refine(first.fine, second.fine, maps, _FINE_STEPS)


def _squares(images: NDArray[np.uint8]) -> _Squares:
    # The box filter would move edges by up to half a pixel, where sides are no multiples.
    size, even = (_FINE, _FINE), Image.Resampling.HAMMING
    small = np.stack([np.asarray(Image.fromarray(image).resize(size, even)) for image in images])
    channels = np.moveaxis(small, 3, 1).astype(np.float32)
    colour = channels.reshape(len(images), 3, _COARSE, 2, _COARSE, 2).mean(axis=(3, 5))
    luma = np.array([0.299, 0.587, 0.114], np.float32)[:, None, None]
    grey, coarse = (channels * luma).sum(axis=1), (colour * luma).sum(axis=1)
    return _Squares(
        colour=colour,
        grey=grey,
        coarse=coarse - blur(coarse, _COARSE / 10),
        fine=grey - blur(grey, _FINE / 10),
    )


def _best_guess(first: _Squares, second: _Squares, guesses: Floats) -> tuple[Floats, Bools]:
    """Choose each pair's guess at which the two correlate best; tell whether it is plausible."""
    correlations = np.empty(guesses.shape[1::-1], np.float32)
    for number, maps in enumerate(guesses.swapaxes(0, 1)):
        values, inside = lay_over(second.coarse, maps)
        products = (first.coarse * values, first.coarse**2, values**2)
        both, one, other = ((product * inside).sum(axis=(1, 2)) for product in products)
        correlations[number] = both / np.sqrt(one * other).clip(1)
        correlations[number, ~_enough(inside, maps)] = -1
    best = correlations.argmax(axis=0)
    maps = guesses[np.arange(len(guesses)), best]
    colour = _share_but_for_bar(*_same_colour(first.colour, second.colour, maps))
    correlated = correlations.max(axis=0) >= _MIN_GUESSED_CORRELATION
    return maps, np.asarray(correlated & (colour >= _MIN_GUESSED_COLOUR))


def _agree(first: _Squares, second: _Squares, maps: Floats) -> Bools:
    """Whether colour and texture agree almost everywhere."""
    values, inside = lay_over(second.grey, maps)
    same_colour, known = _same_colour(first.colour, second.colour, maps)
    same_texture, texture = _same_texture(first.grey, values, inside)
    # Of two fish on white, most of both images has one colour: their texture must have it too.
    alike = _share_but_for_bar(same_texture & same_colour, texture)
    return np.asarray(
        _enough(inside, maps)
        & (_share_but_for_bar(same_colour, known) >= _MIN_SAME_COLOUR)
        & (alike >= _MIN_SAME_TEXTURE)
        & ((texture > 0).sum(axis=(1, 2)) >= _MIN_TEXTURED_BLOCKS)
    )


def _enough(inside: Bools, maps: Floats) -> Bools:
    """Whether the images overlap as far as an image and its crop do."""
    of_first = inside.mean(axis=(1, 2))
    of_second = of_first * np.abs(np.linalg.det(maps[:, :, :2]))
    larger, smaller = np.maximum(of_first, of_second), np.minimum(of_first, of_second)
    return np.asarray((larger >= _MIN_INSIDE) & (smaller >= _MIN_FILLED))


def _same_colour(first: Floats, second: Floats, maps: Floats) -> tuple[Bools, Bools]:
    """Whether blocks have one mean colour but for the brightness of the whole, and both are known.

    Both are bool (C, _GRID, _GRID).
    """
    values, inside = lay_over(second, maps)
    seen = _blocks(inside.astype(np.float32)[:, None])
    known = seen.mean(axis=-1) > 0.5
    pixels = seen.sum(axis=-1).clip(1)
    one, other = ((_blocks(channel) * seen).sum(axis=-1) / pixels for channel in (first, values))
    ratio = np.where(known, (one + 1) / (other + 1), np.nan).reshape(len(first), -1)
    ratio[~known.any(axis=(1, 2, 3))] = 1
    brightness = np.nanmedian(ratio, axis=1).clip(0.7, 1.4)[:, None, None, None]
    same = (np.abs(one - brightness * other) < _COLOUR_TOLERANCE).all(axis=1)
    return same, known[:, 0]


def _same_texture(first: Floats, second: Floats, inside: Bools) -> tuple[Bools, Floats]:
    """Whether blocks correlate, and how much texture they have; 0 where it is flat or unknown.

    Both are (C, _GRID, _GRID); ``inside`` says where there is a second image, laid over the first.
    """
    seen = _blocks(inside.astype(np.float32))
    pixels = seen.sum(axis=-1).clip(1)
    one, other = (_centred(_blocks(grey), seen) for grey in (first, second))
    deviations = [np.sqrt((block**2).sum(axis=-1) / pixels) for block in (one, other)]
    covariance = (one * other).sum(axis=-1) / pixels
    correlation = covariance / (deviations[0] * deviations[1]).clip(1e-3)
    texture = np.maximum(*deviations)
    textured = (texture > _FLAT) & (seen.mean(axis=-1) > 0.5)
    return correlation > _MIN_CORRELATION, textured * texture.clip(max=_SATURATED)


def _share_but_for_bar(same: Bools, weight: Bools | Floats) -> Floats:
    """Return the weighted share of (C, rows, columns) with the best choice of rows left out.

    Nothing, the upper or the lower rows are left out, as a watermark bar may be there.
    """
    choices = (slice(None), slice(_BAR_ROWS, None), slice(None, -_BAR_ROWS))
    shares = [
        (same * weight)[:, rows].sum(axis=(1, 2)) / weight[:, rows].sum(axis=(1, 2)).clip(1)
        for rows in choices
    ]
    return np.asarray(np.max(shares, axis=0), np.float32)


def _blocks(images: Floats) -> Floats:
    """Cut (..., V, V) into (..., _GRID, _GRID, pixels of a block)."""
    *lead, side, _ = images.shape
    grid = images.reshape(*lead, _GRID, side // _GRID, _GRID, side // _GRID)
    return np.asarray(grid.swapaxes(-3, -2).reshape(*lead, _GRID, _GRID, -1))


def _centred(blocks: Floats, seen: Floats) -> Floats:
    """Subtract each block's mean over the seen pixels, and blank the others."""
    mean = (blocks * seen).sum(axis=-1, keepdims=True) / seen.sum(axis=-1, keepdims=True).clip(1)
    return np.asarray((blocks - mean) * seen)
