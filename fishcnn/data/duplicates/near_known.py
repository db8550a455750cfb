"""Which images of one set are near-duplicates of images in another one."""

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.image_set import Pixels
from fishcnn.data.duplicates.candidates import candidate_pairs
from fishcnn.data.duplicates.finder import near_duplicates_among
from fishcnn.data.duplicates.fingerprint import unpack


class _Joined:
    """Rows of one set of images, and behind them rows of another one."""

    def __init__(self, first: NDArray[np.uint8], second: Pixels, rows: NDArray[np.int64]) -> None:
        self._first, self._second, self._rows = first, second, rows

    def __getitem__(self, wanted: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Take rows in ascending order."""
        count = len(self._first)
        behind = self._rows[wanted[wanted >= count] - count]
        return np.concatenate([self._first[wanted[wanted < count]], self._second[behind]])


def near_known(
    known: Pixels,
    rows: NDArray[np.int64],
    images: NDArray[np.uint8],
    fingerprints: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    aspect: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> NDArray[np.bool_]:
    """Find the images that are near-duplicates of a known one, bool (N,).

    Args:
        known: uint8 (M, S, S, 3), of which some rows are compared.
        rows: int64 (m,), which.
        images: uint8 (N, S, S, 3), likewise squashed to a square.
        fingerprints: of the N images, and of the m known ones.
        aspect: likewise, width / height of the originals.
    """
    near = np.zeros(len(images), np.bool_)
    if not len(images) or not len(rows):
        return near
    features = unpack(np.concatenate(fingerprints))
    pairs = candidate_pairs(features)
    pairs = pairs[(pairs[:, 0] < len(images)) & (pairs[:, 1] >= len(images))]
    joined, ratios = _Joined(images, known, rows), np.concatenate(aspect)
    near[near_duplicates_among(features, joined, ratios, pairs)[:, 0]] = True
    return near
