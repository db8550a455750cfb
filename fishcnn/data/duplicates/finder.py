"""Near-duplicates: images that a split must keep together.

Fingerprints say which pairs to look at, and pixels whether they show the same. Of simple images,
only pairs are joined that are much more alike than others are, so that no group grows by
resemblance alone. Images without texture, such as blank ones, offer nothing to compare: they are
duplicates only where the files are identical.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.image_set import ImageSet, Pixels
from fishcnn.data.duplicates.candidates import candidate_pairs
from fishcnn.data.duplicates.compared_pairs import ComparedPairs
from fishcnn.data.duplicates.components import chained, connected
from fishcnn.data.duplicates.distinctness import stand_out
from fishcnn.data.duplicates.fingerprint import Features, unpack
from fishcnn.data.duplicates.verification import Rows, show_the_same
from fishcnn.utils.arrays import DamagedFile, read_arrays, replace_arrays
from fishcnn.utils.progress import track

log = logging.getLogger(__name__)

# Of what counts as a near-duplicate: groups that another version has found are looked for again.
_VERSION = 3
# Pairs compared at a time: some 100 MB.
_BATCH = 256
# So many are compared in a second or two.
_SHOW_PROGRESS_ABOVE = 1000


@dataclass(frozen=True)
class Duplicates:
    """The near-duplicates among N images."""

    # int64 (P, 2), pairs that show the same, i < j, in ascending order. They connect every group,
    # but are not all pairs of it.
    pairs: NDArray[np.int64]
    # int64 (N,), the number of each image's group, from 0 in order of first appearance; an image on
    # its own has a group of its own.
    groups: NDArray[np.int64]

    def larger_than_one(self) -> list[NDArray[np.int64]]:
        """Return the ascending indices of the images of each group of two or more."""
        several = np.flatnonzero((np.bincount(self.groups) > 1)[self.groups])
        if not len(several):
            return []
        order = several[np.argsort(self.groups[several], kind="stable")]
        ends = np.flatnonzero(np.diff(self.groups[order])) + 1
        return np.split(order, ends)


def find_duplicates(
    fingerprints: NDArray[np.uint8],
    images: Pixels,
    aspect: NDArray[np.float32],
    hashes: Sequence[str] | NDArray[np.bytes_] | None,
    verdicts: ComparedPairs | None = None,
) -> Duplicates:
    """Find the images that are the same but for encoding, size, crop, mirroring, bar or moment.

    Time is that of sorting 300 N words and of comparing at most 16 pairs per image, and as many
    again among images of which all look alike.

    Args:
        fingerprints: uint8 (N, FINGERPRINT_BYTES) of fingerprint().
        images: uint8 (N, S, S, 3), RGB, each image squashed to a square of at least 48 pixels.
            Only the rows of pairs are read, some hundred at a time, so they may be on disk.
        aspect: float32 (N,), width / height of the originals.
        hashes: N content hashes of the files, of which equal ones are duplicates; None without.
        verdicts: of pairs that were compared before; those that are compared now are added.
    """
    features = unpack(fingerprints)
    pairs = candidate_pairs(features)
    verified = [near_duplicates_among(features, images, aspect, pairs, verdicts)]
    if hashes is not None:
        verified.append(chained(hashes))
    found = np.unique(np.concatenate([np.zeros((0, 2), np.int64), *verified]), axis=0)
    return Duplicates(pairs=found, groups=connected(len(fingerprints), found))


def near_duplicates_among(
    features: Features,
    images: Rows,
    aspect: NDArray[np.float32],
    pairs: NDArray[np.int64],
    verdicts: ComparedPairs | None = None,
) -> NDArray[np.int64]:
    """Keep the pairs, int64 (C, 2), that are near-duplicates.

    ``verdicts`` are of pairs that were compared before; the others are of show_the_same().
    """
    same = np.zeros(len(pairs), np.bool_)
    left = np.arange(len(pairs))
    if verdicts is not None:
        known, same = verdicts.known(pairs)
        left = left[~known]
    starts = range(0, len(left), _BATCH)
    show = len(left) > _SHOW_PROGRESS_ABOVE
    try:
        for start in track(
            starts, "Comparing pairs of images", total=len(left), step=_BATCH, show=show
        ):
            batch = left[start : start + _BATCH]
            same[batch] = show_the_same(features, images, aspect, pairs[batch])
            if verdicts is not None:
                verdicts.add(pairs[batch], same[batch])
    finally:
        if verdicts is not None:
            verdicts.save()
    found = pairs[same]
    return found[stand_out(features, images, aspect, found)]


def _among(duplicates: Duplicates, rows: NDArray[np.int64]) -> Duplicates:
    """What is known of some of the images, int64 (n,), ascending."""
    pairs = duplicates.pairs[np.isin(duplicates.pairs, rows).all(axis=1)]
    return Duplicates(
        pairs=np.searchsorted(rows, pairs).astype(np.int64),
        groups=connected(len(rows), chained(duplicates.groups[rows])),
    )


def known_duplicates(images: ImageSet) -> Duplicates:
    """Find the near-duplicates, or read them from the cache where these images had them found.

    Images that were connected by one that a person has dropped stay in one group.
    """
    if images.whole is not None:
        whole, rows = images.whole
        return _among(known_duplicates(whole), rows)
    file = images.arrays and images.arrays.with_suffix(f".duplicates{_VERSION}")
    if file and file.is_file():
        try:
            content = read_arrays(file)
            return Duplicates(content["pairs"], content["groups"])
        except (OSError, DamagedFile) as error:
            log.warning("%s is damaged (%s): looking for near-duplicates again.", file, error)
    digests = np.ascontiguousarray(images.digests)
    hashes = digests.view(f"S{digests.shape[1]}")[:, 0]
    verdicts = None
    if images.arrays:  # of the rows, whichever images they belong to
        compared = images.arrays.with_name(images.arrays.name.partition("-")[0])
        verdicts = ComparedPairs(compared.with_suffix(f".compared{_VERSION}"), images.facts["row"])
    duplicates = find_duplicates(
        images.fingerprints[:], images.pixels, images.aspect, hashes, verdicts
    )
    if file:
        try:
            replace_arrays(file, pairs=duplicates.pairs, groups=duplicates.groups)
        except OSError as error:  # They are known for this run; only the next has to look again.
            log.warning(
                "The near-duplicates cannot be stored in %s for later runs: %s", file, error
            )
    return duplicates
