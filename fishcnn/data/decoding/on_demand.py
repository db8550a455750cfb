"""ImageSet that are kept nowhere: for collections that fit neither memory nor disk."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.decode import mask_path, read_mask
from fishcnn.data.decoding.read import UnreadableImage, read_image
from fishcnn.data.decoding.resize import squash
from fishcnn.utils.errors import FishError


class OnDemand:
    """ImageSet, or their masks, that are decoded whenever they are asked for.

    Args:
        part: "image" or "mask".
        root: Folder of the pictures.
        paths: N paths relative to it.
        masks_root: Folder of the masks, or None.
        shape: of one of them; the first number is S.
        workers: Threads that decode.
    """

    def __init__(
        self,
        *,
        part: str,
        root: Path,
        paths: Sequence[Path],
        masks_root: Path | None,
        shape: tuple[int, ...],
        workers: int,
    ) -> None:
        self._part = part
        self._root = root
        self._paths = paths
        self._masks_root = masks_root
        self.shape = (len(paths), *shape)
        self._workers = max(1, workers)

    @property
    def nbytes(self) -> int:
        """Bytes in memory: none."""
        return 0

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """Decode uint8 (len(rows), *shape).

        Raises:
            FishError: A picture has gone since the start, or has been damaged.
        """
        with ThreadPoolExecutor(self._workers) as pool:
            return np.stack(list(pool.map(self._decode, rows.tolist())))

    def _decode(self, row: int) -> NDArray[np.uint8]:
        path = self._paths[row]
        side = self.shape[1]
        if self._part == "mask" and (mask := mask_path(self._masks_root, path)):
            return read_mask(mask, side=side, aspect=None)
        try:
            return squash(read_image(self._root / path, long_enough_for=side), side)
        except UnreadableImage as error:
            raise FishError(
                f"{self._root / path} cannot be read any more: {error.reason}"
            ) from error
