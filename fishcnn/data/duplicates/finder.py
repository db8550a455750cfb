"""Near-duplicates in a collection: pictures that a split must keep together.

Fingerprints say which pairs to look at, pixels whether they show the same, and only pairs that do
are joined, so that no group grows by resemblance alone. ImageSet without texture, such as blank
ones, offer nothing to compare: they are duplicates only where the files are identical.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.image_set import Pixels
from fishcnn.data.duplicates.candidates import candidate_pairs
from fishcnn.data.duplicates.fingerprint import unpack
from fishcnn.data.duplicates.verification import show_the_same

# Of what counts as a near-duplicate: groups that another version has found are looked for again.
FINDER_VERSION = 1
# Pairs compared at a time: some 100 MB.
_BATCH = 256


@dataclass(frozen=True)
class Duplicates:
    """The near-duplicates among N pictures.

    Attributes:
        pairs: int64 (P, 2), pairs that show the same, i < j, in ascending order. They connect every
            group, but are not all pairs of it.
        groups: int64 (N,), the number of each picture's group, from 0 in order of first appearance.
            A picture on its own has a group of its own.
    """

    pairs: NDArray[np.int64]
    groups: NDArray[np.int64]

    def larger_than_one(self) -> list[NDArray[np.int64]]:
        """Return the ascending indices of the pictures of each group of two or more."""
        order = np.argsort(self.groups, kind="stable")
        ends = np.cumsum(np.bincount(self.groups))[:-1]
        return [members for members in np.split(order, ends) if len(members) > 1]


def find_duplicates(
    fingerprints: NDArray[np.uint8],
    images: Pixels,
    aspect: NDArray[np.float32],
    hashes: Sequence[str] | None,
) -> Duplicates:
    """Find the pictures that are the same but for encoding, size, crop, mirroring, bar or moment.

    Time is that of sorting 300 N words and of comparing at most 16 pairs a picture.

    Args:
        fingerprints: uint8 (N, FINGERPRINT_BYTES) of fingerprint().
        images: uint8 (N, S, S, 3), RGB, each picture squashed to a square of at least 48 pixels.
            Only the rows of pairs are read, some hundred at a time, so they may be on disk.
        aspect: float32 (N,), width / height of the originals.
        hashes: N content hashes of the files, of which equal ones are duplicates; None without.
    """
    features = unpack(fingerprints)
    pairs = candidate_pairs(features)
    verified = [
        batch[show_the_same(features, images, aspect, batch)]
        for batch in np.split(pairs, range(_BATCH, len(pairs), _BATCH))
        if len(batch)
    ]
    if hashes is not None:
        verified.append(_equal(hashes))
    found = np.unique(np.concatenate([np.zeros((0, 2), np.int64), *verified]), axis=0)
    return Duplicates(pairs=found, groups=_connected(len(fingerprints), found))


def _equal(hashes: Sequence[str]) -> NDArray[np.int64]:
    """Return the pairs (i, j) of each file and the next with the same hash."""
    latest: dict[str, int] = {}
    pairs = []
    for index, value in enumerate(hashes):
        if value in latest:
            pairs.append((latest[value], index))
        latest[value] = index
    return np.array(pairs, np.int64).reshape(-1, 2)


def _connected(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the connected components in order of first appearance (union-find)."""
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for i, j in pairs.tolist():
        one, other = root(i), root(j)
        # The earlier picture stays the root, so that roots ascend in order of first appearance.
        parent[max(one, other)] = min(one, other)
    roots = np.array([root(index) for index in range(count)], np.int64)
    groups: NDArray[np.int64] = np.unique(roots, return_inverse=True)[1]
    return groups
