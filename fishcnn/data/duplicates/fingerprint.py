"""675 bytes of an image from which near-duplicates can be looked up.

The fingerprint is a set of local features, as in Ke, Sukthankar & Huston, "Efficient Near-duplicate
Detection and Sub-image Retrieval" (ACM Multimedia 2004): a crop or a watermark bar takes some of
them away and leaves the others as they were, while a hash of the whole image changes altogether.
Points are extrema of a difference of Gaussians at several scales (Lowe, IJCV 2004). The patch
around each is described as pHash describes an image, by the signs of its lowest DCT coefficients
(Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Pixels: the image is brought to the area of a square of this side before points are sought.
_SIDE = 80
_LEVELS = 5
# Where scales differ by 10 %, most signs still agree, so levels may be this far apart.
_LEVEL_STEP = 1.25
_POINTS_PER_LEVEL = 15
# Pixels of the level, odd so that a point is a patch's middle.
_PATCH = 21
_INNER_SIGMA, _OUTER_SIGMA = 1.2, 2.0
# Grey levels out of 255: what stands out less is noise or compression.
_MIN_CONTRAST = 0.5

_BITS = 32
# The signs most likely to differ in a near-duplicate: of the smallest coefficients.
WEAK_BITS = 3
POINTS = _LEVELS * _POINTS_PER_LEVEL

_RECORD = np.dtype(
    [
        ("word", "<u4"),
        ("weak", "u1", (WEAK_BITS,)),
        # In 255ths of the width and height; (0, 0) marks an empty place.
        ("centre", "u1", (2,)),
    ]
)
FINGERPRINT_BYTES = POINTS * _RECORD.itemsize


class Features(NamedTuple):
    """The local features of N images, P = POINTS places each."""

    words: NDArray[np.uint32]  # (N, P), the signs of the patch's DCT coefficients
    weak: NDArray[np.uint8]  # (N, P, WEAK_BITS), the numbers of the bits that are the least certain
    centres: NDArray[np.uint8]  # (N, P, 2), of the patches; see middles()
    filled: NDArray[np.bool_]  # (N, P), False where an image has fewer points


def fingerprint(image: Image.Image) -> NDArray[np.uint8]:
    """Describe an image so that find_duplicates() can find its near-duplicates.

    Args:
        image: Upright, mode "RGB", at any scale down to about 80 pixels.

    Returns:
        uint8 (FINGERPRINT_BYTES,), the same for the same pixels. An image without any texture has
        an empty fingerprint, all zeros.
    """
    records = np.zeros((_LEVELS, _POINTS_PER_LEVEL), _RECORD)
    zoom = _SIDE / np.sqrt(image.width * image.height)
    # A ribbon is squashed until a patch fits in.
    shortest, longest = _PATCH + 2, _SIDE**2 // (_PATCH + 2)
    width = min(max(round(zoom * image.width), shortest), longest)
    height = min(max(round(zoom * image.height), shortest), longest)
    base = image.resize((width, height), Image.Resampling.BILINEAR).convert("L").convert("F")
    for level, places in enumerate(records):
        shrink = _LEVEL_STEP**-level
        size = (round(width * shrink), round(height * shrink))
        if min(size) < shortest:
            break
        grey = np.asarray(base.resize(size, Image.Resampling.BILINEAR) if level else base)
        smooth = blur(grey, _INNER_SIGMA)
        rows, columns = _points(np.abs(smooth - blur(grey, _OUTER_SIGMA)))
        patches = np.lib.stride_tricks.sliding_window_view(smooth, (_PATCH, _PATCH))[rows, columns]
        found = places[: len(rows)]
        found["word"], found["weak"] = _words(patches)
        middles = np.stack([columns, rows], axis=1) + (_PATCH // 2 + 0.5)
        found["centre"] = np.rint(255 * middles / size)
    return records.reshape(-1).view(np.uint8)


def unpack(fingerprints: NDArray[np.uint8]) -> Features:
    """Read the features out of fingerprints, uint8 (N, FINGERPRINT_BYTES)."""
    records = np.ascontiguousarray(fingerprints).view(_RECORD)
    centres = records["centre"]
    return Features(
        words=records["word"],
        weak=records["weak"],
        centres=centres,
        filled=np.asarray(centres.any(axis=2)),
    )


def middles(centres: NDArray[np.uint8]) -> NDArray[np.float32]:
    """X and y of the middles of patches (..., 2), from 0 to 1 of the sides of their images."""
    return np.asarray(centres / np.float32(255), np.float32)


def patch_extents(aspect: NDArray[np.float32], places: NDArray[np.integer]) -> NDArray[np.float32]:
    """Width and height of patches as a share of the image's, float32 (..., 2).

    ``aspect`` is width / height of the images, which broadcasts to the patches' ``places`` in the
    fingerprint.
    """
    level = (places // _POINTS_PER_LEVEL).astype(np.float32)
    of_square = np.float32(_PATCH / _SIDE) * np.float32(_LEVEL_STEP) ** level
    root = np.sqrt(aspect)
    return np.stack([of_square / root, of_square * root], axis=-1)


def blur(grey: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Convolve (..., H, W) with a Gaussian of sigma pixels, renormalised at the border."""
    height, width = grey.shape[-2:]
    return np.asarray(_blur_matrix(height, sigma) @ grey @ _blur_matrix(width, sigma).T)


def _points(contrast: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of patches, upper left, around the most contrasty local maxima."""
    edge = _PATCH // 2
    inside = contrast[edge:-edge, edge:-edge]
    around = contrast[edge - 1 : 1 - edge, edge - 1 : 1 - edge]
    highest = np.maximum(np.maximum(around[:-2], around[1:-1]), around[2:])
    highest = np.maximum(np.maximum(highest[:, :-2], highest[:, 1:-1]), highest[:, 2:])
    peaks = np.where(inside == highest, inside, 0).reshape(-1)
    best = np.argsort(-peaks, kind="stable")[:_POINTS_PER_LEVEL]
    rows, columns = np.divmod(best[peaks[best] > _MIN_CONTRAST], inside.shape[1])
    return rows, columns


def _words(patches: NDArray[np.float32]) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Return the signs of the patches' lowest DCT coefficients, and which are the weakest."""
    coefficients = patches.reshape(len(patches), _PATCH**2) @ _DCT
    weights = np.uint32(1) << np.arange(_BITS, dtype=np.uint32)
    words = np.where(coefficients > 0, weights, np.uint32(0)).sum(axis=1, dtype=np.uint32)
    weak = np.argsort(np.abs(coefficients), axis=1)[:, :WEAK_BITS]
    return words, weak.astype(np.uint8)


@lru_cache(maxsize=1024)
def _blur_matrix(length: int, sigma: float) -> NDArray[np.float32]:
    """Return the (length, length) matrix that convolves with a Gaussian."""
    distance = np.subtract.outer(np.arange(length), np.arange(length))
    gaussian = np.exp(-0.5 * (distance / sigma) ** 2)
    return np.asarray(gaussian / gaussian.sum(axis=1, keepdims=True), np.float32)


def _dct(frequencies: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the (_PATCH², _BITS) DCT basis of unit length."""
    phase = np.pi * (np.arange(_PATCH) + 0.5) / _PATCH
    vertical, horizontal = np.cos(frequencies.T[:, :, None] * phase)
    waves = (vertical[:, :, None] * horizontal[:, None, :]).reshape(_BITS, -1)
    return np.asarray((waves / np.linalg.norm(waves, axis=1, keepdims=True)).T, np.float32)


# The (_BITS, 2) lowest vertical and horizontal frequencies but the mean's.
_FREQUENCIES = np.array(
    sorted(np.ndindex(_BITS, _BITS), key=lambda pair: (pair[0] ** 2 + pair[1] ** 2, pair))
)[1 : _BITS + 1]
_DCT = _dct(_FREQUENCIES)
# Mirroring a patch left to right turns the sign of every odd horizontal frequency.
MIRRORED_BITS = np.uint32(sum(1 << bit for bit, (_, f) in enumerate(_FREQUENCIES) if f % 2))
