"""Whether an exported file says the same of real images as the network that it came from."""

import statistics
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fishcnn.commands.export.formats import Loaded
from fishcnn.commands.trained_run import one_thread

# Largest difference of a probability. Runtimes add up float32 numbers in another order, which
# makes some 1e-6 in deep networks; another image size or colour order makes 1e-2 and more.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Agreement:
    """How well a file agrees with its network.

    Attributes:
        pictures: on how many images they were compared, all in one batch and one by one.
        same_top1: on how many both name the same class. Where the network's own two best classes
            lie closer together than the tolerance, either will do.
        max_abs_difference: the largest difference of a probability.
        milliseconds: median time to classify one image that is decoded already, on one core.
    """

    pictures: int
    same_top1: int
    max_abs_difference: float
    milliseconds: float

    @property
    def good(self) -> bool:
        """Whether the file may be used; never where there are NaN."""
        return self.same_top1 == self.pictures and self.max_abs_difference <= TOLERANCE


def compare(loaded: Loaded, images: NDArray[np.uint8], expected: NDArray[np.float32]) -> Agreement:
    """Compare a file with its network on images, uint8 ``(N, S, S, 3)``, N ≥ 1.

    The network's own probabilities are ``expected``, float32 ``(N, K)``, K ≥ 2.

    Raises:
        ValueError: the file gives another number of probabilities.
    """
    # One image more, as a single one would be no batch.
    together = loaded.classify(np.concatenate([images, images[:1]]))[:-1]
    alone, seconds = [], []
    with one_thread():  # a busy machine would be measured as well
        for image in images:
            start = time.perf_counter()
            alone.append(loaded.classify(image[None]))
            seconds.append(time.perf_counter() - start)
    found = np.stack([together, np.concatenate(alone)])
    if found.shape[1:] != expected.shape:
        raise ValueError(f"probabilities {found.shape[1:]} instead of {expected.shape}")
    second, first = np.sort(expected, axis=1)[:, -2:].T
    same = (found.argmax(2) == expected.argmax(1)).all(0) | (first - second < TOLERANCE)
    return Agreement(
        pictures=len(images),
        same_top1=int(same.sum()),
        max_abs_difference=float(np.abs(found - expected).max()),
        milliseconds=1000 * statistics.median(seconds),
    )
