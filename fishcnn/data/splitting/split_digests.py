"""Digests of the images of a run, by which they are known again wherever they lie by now."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.splitting.split import Split
from fishcnn.utils.arrays import DamagedFile, read_arrays, write_arrays
from fishcnn.utils.files import replacing

Digests = NDArray[np.uint8]
_BYTES = 16


@dataclass(frozen=True)
class SplitDigests:
    """Equal for files with the same bytes: uint8 (n, 16) for each split, as in ``split.json``.

    Attributes:
        earlier: of the images that a run was trained on before it was continued as this one.
    """

    train: Digests
    val: Digests
    test: Digests
    earlier: Digests

    @classmethod
    def of(
        cls, images: ImageSet, split: Split, before: "SplitDigests | None" = None
    ) -> "SplitDigests":
        """Take those of the images of a split, and of what was trained on before."""
        train, val, test = (images.digests[rows] for rows in (split.train, split.val, split.test))
        earlier = before.trained if before else np.zeros((0, _BYTES), np.uint8)
        return cls(train, val, test, earlier[~among(earlier, train)])

    def save(self, file: Path) -> None:
        """Write them to an ``.npz`` file, 16 bytes an image."""
        with replacing(file) as unfinished:
            write_arrays(unfinished, **vars(self))

    @classmethod
    def load(cls, file: Path) -> "SplitDigests":
        """Read what :meth:`save` has written.

        Raises:
            DamagedFile: it is something else by now.
            OSError: it cannot be read.
        """
        arrays = read_arrays(file)
        if arrays.keys() != cls.__dataclass_fields__.keys():
            raise DamagedFile("it holds something else")
        return cls(**arrays)

    @property
    def trained(self) -> Digests:
        """Of everything that the network has learnt from."""
        return np.concatenate([self.train, self.earlier])


def among(digests: Digests, known: Digests) -> NDArray[np.bool_]:
    """Which of N digests are among others, bool (N,)."""
    return np.isin(_whole(digests), _whole(known))


def _whole(digests: Digests) -> NDArray[np.bytes_]:
    # Not as bytes, of which NumPy would drop zeros at the end.
    return np.array([digest.tobytes().hex() for digest in digests], f"S{2 * _BYTES}")
