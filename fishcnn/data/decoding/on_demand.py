"""Images that are kept nowhere: for data sets that fit neither memory nor disk."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.read import UnreadableImage, read_image
from fishcnn.data.decoding.resize import Square
from fishcnn.utils.errors import FishError


class OnDemand:
    """Images, or their masks, that are decoded, in threads, whenever they are asked for.

    ``decode`` makes uint8 of one ``shape``, whose first number is S, of each of N files.
    """

    nbytes = 0  # in memory

    def __init__(
        self,
        decode: Callable[[Path], NDArray[np.uint8]],
        files: Sequence[Path],
        shape: tuple[int, ...],
        workers: int,
    ) -> None:
        self._decode = decode
        self._files = files
        self.shape = (len(files), *shape)
        self._workers = max(1, workers)

    def only(self, rows: NDArray[np.int64]) -> "OnDemand":
        """Some of them, int64 (n,), as if the others were not there."""
        files = [self._files[row] for row in rows.tolist()]
        return OnDemand(self._decode, files, self.shape[1:], self._workers)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decode uint8 (len(rows), *shape)."""
        with ThreadPoolExecutor(self._workers) as pool:
            files = [self._files[row] for row in rows.tolist()]
            return np.stack(list(pool.map(self._decode, files)))


def read_square(file: Path, *, square: Square) -> NDArray[np.uint8]:
    """Decode an image that could be read before to uint8 (S, S, 3).

    Raises:
        FishError: It has gone since, or has been damaged.
    """
    try:
        return square.of_image(read_image(file, long_enough_for=square.side))
    except UnreadableImage as error:
        raise FishError(f"{file} cannot be read any more: {error.reason}") from error
