"""Whether two images are more alike than others are: eggs on plain ground are all alike.

What passes for the same image among photographs proves little among simple images, which can be
laid over each other almost as well whichever two are taken. So each pair of these is measured
against what its images have in common with others: some of those that they are said to show the
same as, by way of others, and some at random. Images full of texture need no more proof: the frames
of a video, which have their ground in common, are together.
"""

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.duplicates.alignment import Bools, Floats
from fishcnn.data.duplicates.components import connected
from fishcnn.data.duplicates.fingerprint import Features
from fishcnn.data.duplicates.verification import Rows, share_of_texture, similarity

# Images with texture in so much of their area are no simple ones: it is at most half for eggs,
# otoliths and plankton on plain ground, and nearly all before a reef.
_MIN_TEXTURED = 0.65
# Others that an image is measured against, of each kind.
_OTHERS = 4
# A pair must leave at most this share of what the others leave of a perfect correlation; the second
# share in a crowd, where nearly all images are so alike that noise decides.
_MAX_SHARE, _MAX_SHARE_IN_CROWD = 0.08, 0.4
# Of the others, so many are no more alike than this.
_QUANTILE = 0.75
# More than this is the same image in another frame, not another one.
_SAME = 0.985
# Pairs compared at a time: some 100 MB.
_BATCH = 256


def stand_out(features: Features, images: Rows, aspect: Floats, pairs: NDArray[np.int64]) -> Bools:
    """Tell which pairs, int64 (P, 2), show more in common than simple images do; bool (P,).

    These are full of texture, or much more alike than their images are to others. The other
    arguments are those of show_the_same(), which the pairs have passed.
    """
    if len(pairs) == 0:
        return np.zeros(0, bool)
    members = np.unique(pairs)
    full = np.concatenate(
        [
            share_of_texture(images[batch]) >= _MIN_TEXTURED
            for batch in np.split(members, range(_BATCH, len(members), _BATCH))
        ]
    )
    answer: Bools = np.asarray(full[np.searchsorted(members, pairs)].all(axis=1))
    if not answer.all():
        answer[~answer] = _more_alike(features, images, aspect, pairs[~answer])
    return answer


def _more_alike(
    features: Features, images: Rows, aspect: Floats, pairs: NDArray[np.int64]
) -> Bools:
    count = len(aspect)
    members = np.unique(pairs)
    # The same on every machine.
    generator = np.random.Generator(np.random.PCG64(0))
    others = np.concatenate(
        [
            _from_components(connected(count, pairs)[members], members, generator),
            generator.integers(0, count, (len(members), _OTHERS)),
        ],
        axis=1,
    )
    of_image = np.stack([np.broadcast_to(members[:, None], others.shape), others], axis=2)
    flat = of_image.reshape(-1, 2)
    known = _similarities(features, images, aspect, np.concatenate([pairs, flat]))
    alike, to_others = known[: len(pairs)], known[len(pairs) :].reshape(others.shape)
    to_others[others == members[:, None]] = np.nan
    of_pair = np.searchsorted(members, pairs)  # (P, 2)
    of_both = to_others[of_pair]
    of_both[others[of_pair] == pairs[:, ::-1, None]] = np.nan  # the partner is not another one
    at_random = of_both[:, :, _OTHERS:].reshape(len(pairs), -1)
    both = of_both.reshape(len(pairs), -1)
    # All but a quarter at random are so alike: faint eggs, say. NaN comes last, and is not above.
    crowd = np.sort(at_random, axis=1)[:, _OTHERS // 2] > _SAME
    both[(both > _SAME) & ~crowd[:, None]] = np.nan
    typical = np.zeros(len(pairs), np.float32)
    some = ~np.isnan(both).all(axis=1)
    typical[some] = np.nanquantile(both[some], _QUANTILE, axis=1)
    share = np.where(crowd, _MAX_SHARE_IN_CROWD, _MAX_SHARE)
    return np.asarray(1 - alike <= share * (1 - typical))


def _from_components(
    components: NDArray[np.int64], members: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw others of the same component for each image, int64 (M, _OTHERS)."""
    order = np.argsort(components, kind="stable")
    ordered = components[order]
    start, end = (np.searchsorted(ordered, components, side) for side in ("left", "right"))
    drawn = start[:, None] + generator.random((len(members), _OTHERS)) * (end - start)[:, None]
    return np.asarray(members[order[drawn.astype(np.int64)]])


def _similarities(
    features: Features, images: Rows, aspect: Floats, pairs: NDArray[np.int64]
) -> Floats:
    parts = [
        similarity(features, images, aspect, batch)
        for batch in np.split(pairs, range(_BATCH, len(pairs), _BATCH))
    ]
    return np.concatenate(parts)
