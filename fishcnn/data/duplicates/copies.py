"""Images that are near-duplicates of known ones."""

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.image_set import Pixels

# Pairs compared at a time: some 100 MB.
_BATCH = 256


class _Joined:
    """The rows of one set of images after those of another."""

    def __init__(self, first: Pixels, second: Pixels, count: int) -> None:
        self._first, self._second, self._count = first, second, count

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Rows in ascending order."""
        before = rows[rows < self._count]
        after = rows[rows >= self._count] - self._count
        parts = (self._first[before], self._second[after])
        return np.concatenate([part for part in parts if len(part)])
