"""How one image lies in another: guessed from local features, then refined on pixels.

Maps are float32 (C, 2, 3): affine, from (x, y, 1) in the first image of a pair to (x, y) in the
second, where every image reaches from 0 to 1 in both directions whatever its shape.
"""

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.duplicates.fingerprint import MIRRORED_BITS, Features, middles, patch_extents

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

GUESSES = 4


def guess_maps(features: Features, aspect: Floats, pairs: NDArray[np.int64]) -> Floats:
    """Guess how the images of pairs, (C, 2), lie in each other from their most alike features.

    Returns:
        float32 (C, GUESSES, 2, 3), maps without rotation, mirrored or not.
    """
    i, j = pairs.T
    differing = features.words[i][:, :, None] ^ features.words[j][:, None, :]
    distance = np.stack(
        [np.bitwise_count(differing), np.bitwise_count(differing ^ MIRRORED_BITS)], axis=1
    )
    filled = features.filled[i][:, :, None] & features.filled[j][:, None, :]
    distance[~np.broadcast_to(filled[:, None], distance.shape)] = 255
    best = np.argpartition(distance.reshape(len(pairs), -1), GUESSES, axis=1)[:, :GUESSES]
    mirrored, a, b = np.unravel_index(best, distance.shape[1:])
    i, j = i[:, None], j[:, None]
    scale = patch_extents(aspect[j], b) / patch_extents(aspect[i], a)
    scale[..., 0] *= np.where(mirrored, -1, 1)
    maps = np.zeros((*best.shape, 2, 3), np.float32)
    maps[..., 0, 0], maps[..., 1, 1] = scale[..., 0], scale[..., 1]
    maps[..., 2] = middles(features.centres[j, b]) - scale * middles(features.centres[i, a])
    return maps


def lay_over(images: Floats, maps: Floats) -> tuple[Floats, Bools]:
    """Draw second images, float32 (C, ..., V, V), where they lie in the first.

    Returns:
        Bilinear values of the shape of images, and bool (C, V, V), where there are any.
    """
    count, side = len(images), images.shape[-1]
    x, y = np.moveaxis(maps @ _middles(side), 1, 0) * side - 0.5
    inside = (x > -0.5) & (y > -0.5) & (x < side - 0.5) & (y < side - 0.5)
    x, y = x.clip(0, side - 1.001), y.clip(0, side - 1.001)
    left, top = x.astype(np.int64), y.astype(np.int64)
    x, y = (x - left)[:, None], (y - top)[:, None]
    channels = images.reshape(count, -1, side * side)
    start = np.arange(count * channels.shape[1]).reshape(count, -1, 1) * side**2
    at = start + (top * side + left)[:, None]
    flat = channels.reshape(-1)
    upper = flat[at] * (1 - x) + flat[at + 1] * x
    lower = flat[at + side] * (1 - x) + flat[at + side + 1] * x
    values = upper * (1 - y) + lower * y
    return values.reshape(images.shape), inside.reshape(count, side, side)


def refine(first: Floats, second: Floats, maps: Floats, steps: int) -> Floats:
    """Take Gauss-Newton steps towards the affine map that leaves the least difference.

    Lucas & Kanade (IJCAI 1981) in the compositional form of Baker & Matthews (IJCV 2004). Pixels
    weigh the less the more they differ, so that a watermark bar does not pull.

    Both images are float32 (C, V, V) of mean zero; maps are no more than some two pixels off.
    """
    count, side, _ = first.shape
    x, y, _ = _middles(side)
    target = first.reshape(count, -1)
    for _ in range(steps):
        values, inside = lay_over(second, maps)
        down, right = (
            side * slope.reshape(count, -1) for slope in np.gradient(values, axis=(1, 2))
        )
        values, seen = values.reshape(count, -1), inside.reshape(count, -1)
        contrast = (np.abs(target) * seen).sum(axis=1) / (np.abs(values) * seen).sum(axis=1).clip(1)
        gain = contrast.clip(0.5, 2)[:, None]
        difference = target - gain * values
        typical = (np.abs(difference) * seen).sum(axis=1) / seen.sum(axis=1).clip(1)
        weight = seen / (1 + (difference / (1 + typical[:, None])) ** 2)
        jacobian = np.stack([right * x, right * y, right, down * x, down * y, down], axis=1)
        jacobian *= gain[:, None]
        weighted = jacobian * weight[:, None]
        normal = weighted @ jacobian.swapaxes(1, 2)
        # Damped, for images that have slopes in one direction only.
        diagonal = np.arange(6)
        normal[:, diagonal, diagonal] = 1.01 * normal[:, diagonal, diagonal] + 1
        step = np.linalg.solve(normal, weighted @ difference[:, :, None]).reshape(count, 2, 3)
        update = np.zeros((count, 3, 3), np.float32)
        update[:, :2] = step.clip(-0.1, 0.1)
        maps = maps @ (update + np.eye(3, dtype=np.float32))
    return maps


def _middles(side: int) -> Floats:
    """Return the (3, side²) middles (x, y, 1) of the pixels of an image."""
    middle = ((np.arange(side) + 0.5) / side).astype(np.float32)
    y, x = np.meshgrid(middle, middle, indexing="ij")
    return np.stack([x.ravel(), y.ravel(), np.ones(side * side, np.float32)])
