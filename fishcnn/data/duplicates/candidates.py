"""Which pairs of images are worth comparing: those that share words of their fingerprints.

Locality-sensitive hashing (Gionis, Indyk & Motwani, "Similarity Search in High Dimensions via
Hashing", VLDB 1999) with the neighbouring buckets looked up too (Lv et al., "Multi-Probe LSH", VLDB
2007). Time is that of sorting, N log N, whatever the images show; memory is about 3 kB an image at
most.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.duplicates.fingerprint import MIRRORED_BITS, Features, middles

# An image is paired with so many that follow it in a bucket. A long video stays together, frame by
# frame; of a bucket of a thousand unrelated white corners, most pairs are never seen.
_NEXT_IN_BUCKET = 8
# Cells along each side of an image, and bits of an image's number: with a word they fill 64.
# Beyond 16 million images there is no room for cells.
_CELLS, _IMAGE_BITS = 16, 24
# So many pairs of an image, those that share most, are compared. What it costs: among many more
# images that look alike in detail, a near-duplicate may come too late.
_PAIRS_PER_IMAGE = 8
# Of up to 300 words of an image. All but one in a hundred planted near-duplicates share three, and
# few other pairs do.
_MIN_SHARED = 3
# What is looked at at a time: some hundred megabytes each. A million images have up to 300 million
# entries.
_ENTRIES_AT_ONCE, _IMAGES_AT_ONCE = 16_000_000, 50_000


def candidate_pairs(features: Features) -> NDArray[np.int64]:
    """Find the pairs that share words, as they are, mirrored, or but for one of the weakest bits.

    Returns:
        int64 (C, 2), i < j, each pair once, in ascending order; C is at most 16 N.
    """
    entries = list(_entries(features))
    found = [(np.zeros((0, 2), np.int64), np.zeros(0, np.intp))]
    for start in range(0, len(features.words), _IMAGES_AT_ONCE):
        pairs, votes = _voted(entries, range(start, start + _IMAGES_AT_ONCE))
        # Of all pairs of the earlier image, and of some of those of the later one.
        best = _most_voted(pairs, votes)
        found.append((pairs[best], votes[best]))
    pairs, votes = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return pairs[_most_voted(pairs, votes)]


class _Entries(NamedTuple):
    """The images of some words, one bucket a word; no image is alone in its bucket.

    They are in the order of where they have the word, then in their own: among a thousand that look
    alike, the same image is next to itself.
    """

    buckets: NDArray[np.uint32]  # (E,), ascending
    images: NDArray[np.uint32]  # (E,)


def _voted(
    entries: Iterable[_Entries], firsts: range
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Find pairs (C, 2) whose earlier image is in a range, ascending; and how often they meet."""
    keys = [np.zeros(0, np.uint64)]
    for buckets, images in entries:
        for step in range(1, _NEXT_IN_BUCKET + 1):
            one, other = images[:-step], images[step:]
            first = np.minimum(one, other)
            shared = (buckets[:-step] == buckets[step:]) & (one != other)
            shared &= (first >= firsts.start) & (first < firsts.stop)
            second = np.maximum(one[shared], other[shared]).astype(np.uint64)
            keys.append(first[shared].astype(np.uint64) << np.uint64(32) | second)
    key, votes = np.unique(np.concatenate(keys), return_counts=True)
    enough = votes >= _MIN_SHARED
    pairs = np.stack([key >> np.uint64(32), key & np.uint64(2**32 - 1)], axis=1).astype(np.int64)
    return pairs[enough], votes[enough]


def _entries(features: Features) -> Iterator[_Entries]:
    """Sort the words, part by part, each of which needs so much memory and no more."""
    count = len(features.words)
    few = count <= 2**_IMAGE_BITS
    parts = 1 + features.words.size * (1 + features.weak.shape[2]) // _ENTRIES_AT_ONCE
    for part in range(parts):
        starts = range(0, count, _IMAGES_AT_ONCE)
        entry = np.concatenate(
            [np.zeros(0, np.uint64), *(_keys(features, at, few, part, parts) for at in starts)]
        )
        entry.sort()
        entry = entry[np.diff(entry, prepend=~entry[:1]) != 0]
        word = (entry >> np.uint64(32)).astype(np.uint32)
        begins = np.diff(word, prepend=~word[:1]) != 0
        together = np.zeros(len(word), np.bool_)
        together[1:] = ~begins[1:]
        together[:-1] |= ~begins[1:]
        bucket = np.cumsum(begins[together], dtype=np.uint32)
        image = entry[together] & np.uint64(2 ** (_IMAGE_BITS if few else 32) - 1)
        yield _Entries(bucket, image.astype(np.uint32))


def _keys(features: Features, start: int, few: bool, part: int, parts: int) -> NDArray[np.uint64]:
    """One number for each word of some images that is in a part of all words: word, cell, image."""
    some = slice(start, start + _IMAGES_AT_ONCE)
    filled, own, weak = features.filled[some], features.words[some], features.weak[some]
    one = np.uint32(1)
    words = [own, *(own ^ (one << bit) for bit in np.moveaxis(weak, 2, 0))]
    images = np.nonzero(filled)[0].astype(np.uint64) + np.uint64(start)
    cells = (middles(features.centres[some][filled]) * (_CELLS - 1)).astype(np.uint64)
    x, y = np.moveaxis(cells, 1, 0)
    entries = []
    for word in words:
        found = word[filled]
        mirrored = found ^ MIRRORED_BITS
        # A word and its mirror image share one bucket.
        least = np.minimum(found, mirrored)
        across = np.where(mirrored < found, np.uint64(_CELLS - 1) - x, x)
        cell = y * np.uint64(_CELLS) + across if few else np.uint64(0)
        key = least.astype(np.uint64) << np.uint64(32) | cell << np.uint64(_IMAGE_BITS) | images
        entries.append(key if parts == 1 else key[least % np.uint32(parts) == part])
    return np.concatenate(entries)


def _most_voted(pairs: NDArray[np.int64], votes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Tell which of ascending pairs are among the _PAIRS_PER_IMAGE best of one of their images."""
    best_first = np.argsort(-votes, kind="stable")
    pairs = pairs[best_first]
    kept = np.zeros(len(pairs), bool)
    for side in (0, 1):
        order = np.argsort(pairs[:, side], kind="stable")
        image = pairs[order, side]
        rank = np.arange(len(order)) - np.searchsorted(image, image)
        kept[order[rank < _PAIRS_PER_IMAGE]] = True
    return np.sort(best_first[kept])
