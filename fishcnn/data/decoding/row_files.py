"""Files of decoded images that only grow at their ends: what was written is never moved."""

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from fishcnn.data.decoding.decode import Decoded
from fishcnn.data.decoding.resize import Square
from fishcnn.data.duplicates.fingerprint import FINGERPRINT_BYTES
from fishcnn.utils.arrays import DamagedFile

# In the order of Decoded.
SUFFIXES = (".images", ".masks", ".fingerprints")


class RowFiles:
    """A file each of images, of their masks where there are masks, and of their fingerprints.

    The same row of all belongs together. Rows that an index has named are not written again, so
    that whoever has the files open keeps them, and a kill at any moment costs only rows that no
    index names yet; these are written over. In a ``with`` block rows can be appended.

    Args:
        name: path of the files, without suffix.
        end: rows that an index has named, the first ones.
        square: of the images.
        masks: whether there are masks.

    Attributes:
        name: as above.
        shapes: of a row of each file, by its suffix.
        kept: rows that an index has named.
        end: likewise, and those that were appended since.
    """

    def __init__(self, name: Path, end: int, square: Square, *, masks: bool) -> None:
        self.name = name
        self.kept = self.end = end
        plane = (square.side, square.side)
        every = ((*plane, 3), plane, (FINGERPRINT_BYTES,))
        self.shapes = dict(zip(SUFFIXES, every, strict=True))
        if not masks:
            del self.shapes[".masks"]
        self._streams: dict[str, BinaryIO] = {}
        self._open = ExitStack()

    @property
    def row_bytes(self) -> int:
        """Bytes that an image takes in all files together."""
        return sum(map(self._bytes, self.shapes))

    def path(self, suffix: str) -> Path:
        """Where a file is.

        Raises:
            DamagedFile: something else lies there.
            FileNotFoundError: nothing lies there.
        """
        file = self.name.with_suffix(suffix)
        if file.exists() and not file.is_file():
            raise DamagedFile(f"{file.name} is not a regular file")
        file.stat()
        return file

    def __enter__(self) -> "RowFiles":
        for suffix in self.shapes:
            file = self.name.with_suffix(suffix)
            self._streams[suffix] = self._open.enter_context(file.open("r+b" if self.end else "wb"))
            if self.end:
                self._streams[suffix].truncate(self.end * self._bytes(suffix))
                self._streams[suffix].seek(0, os.SEEK_END)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._open.close()
        finally:
            self._streams = {}
            if isinstance(error, OSError):  # what was written on a full disk is in its own way
                self._cut()

    def append(self, decoded: Decoded) -> int:
        """Write an image behind the others; which row it is."""
        for suffix, part in zip(SUFFIXES, decoded, strict=True):
            if suffix in self._streams:
                assert part is not None
                self._streams[suffix].write(np.ascontiguousarray(part).data)
        self.end += 1
        return self.end - 1

    def keep(self) -> None:
        """Bring all rows to the disk, for an index that is about to name them."""
        for stream in self._streams.values():
            stream.flush()
            os.fsync(stream.fileno())
        self.kept = self.end

    def _cut(self) -> None:
        for suffix in self.shapes:
            with suppress(OSError):  # the error before this one is what must be told
                os.truncate(self.name.with_suffix(suffix), self.kept * self._bytes(suffix))
        self.end = self.kept

    def _bytes(self, suffix: str) -> int:
        return int(np.prod(self.shapes[suffix]))
