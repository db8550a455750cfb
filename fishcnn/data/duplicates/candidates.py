"""Which pairs of images are worth comparing: those that share words of their fingerprints.

Locality-sensitive hashing (Gionis, Indyk & Motwani, "Similarity Search in High Dimensions via
Hashing", VLDB 1999) with the neighbouring buckets looked up too (Lv et al., "Multi-Probe LSH", VLDB
2007). Time and memory are those of sorting: N log N, whatever the images show.
"""

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.duplicates.fingerprint import MIRRORED_BITS, Features

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


def candidate_pairs(features: Features) -> NDArray[np.int64]:
    """Find the pairs that share words, as they are, mirrored, or but for one of the weakest bits.

    Returns:
        int64 (C, 2), i < j, each pair once, in ascending order; C is at most 16 N.
    """
    words, images = _entries(features)
    count = np.int64(len(features.words))
    keys, votes = [], []
    for step in range(1, _NEXT_IN_BUCKET + 1):
        one, other = images[:-step], images[step:]
        shared = (words[step:] == words[:-step]) & (one != other)
        first, second = np.minimum(one, other)[shared], np.maximum(one, other)[shared]
        key, vote = np.unique(count * first + second, return_counts=True)
        keys.append(key)
        votes.append(vote)
    key, place = np.unique(np.concatenate(keys), return_inverse=True)
    vote = np.bincount(place, np.concatenate(votes), len(key)).astype(np.intp)
    enough = vote >= _MIN_SHARED
    return _most_voted(np.stack(np.divmod(key[enough], count), axis=1), vote[enough])


def _entries(features: Features) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the words to be looked up in ascending order, and the images of each.

    Images with one word are in the order of where they have it, then in their own: among a thousand
    that look alike, the same image is next to itself.
    """
    one = np.uint32(1)
    words = [features.words]
    words += [features.words ^ (one << bit) for bit in np.moveaxis(features.weak, 2, 0)]
    images = np.nonzero(features.filled)[0].astype(np.uint64)
    few = len(features.words) <= 2**_IMAGE_BITS
    x, y = np.moveaxis((features.centres[features.filled] * (_CELLS - 1)).astype(np.uint64), 1, 0)
    entries = []
    for word in words:
        found = word[features.filled]
        mirrored = found ^ MIRRORED_BITS
        # A word and its mirror image share one bucket.
        across = np.where(mirrored < found, np.uint64(_CELLS - 1) - x, x)
        cell = y * np.uint64(_CELLS) + across if few else np.uint64(0)
        key = np.minimum(found, mirrored).astype(np.uint64) << np.uint64(32)
        entries.append(key | cell << np.uint64(_IMAGE_BITS) | images)
    entry = np.sort(np.concatenate(entries))
    entry = entry[np.diff(entry, prepend=~entry[:1]) != 0]
    image = entry & np.uint64(2 ** (_IMAGE_BITS if few else 32) - 1)
    return (entry >> np.uint64(32)).astype(np.uint32), image.astype(np.int64)


def _most_voted(pairs: NDArray[np.int64], votes: NDArray[np.intp]) -> NDArray[np.int64]:
    """Keep the pairs that are among the _PAIRS_PER_IMAGE best of one of their images."""
    best_first = np.argsort(-votes, kind="stable")
    pairs = pairs[best_first]
    kept = np.zeros(len(pairs), bool)
    for side in (0, 1):
        order = np.argsort(pairs[:, side], kind="stable")
        image = pairs[order, side]
        rank = np.arange(len(order)) - np.searchsorted(image, image)
        kept[order[rank < _PAIRS_PER_IMAGE]] = True
    pairs = pairs[kept]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
