"""Rows of an array on disk that are checked whenever they are read."""

import logging
import os
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fishcnn.utils.errors import FishError

log = logging.getLogger(__name__)

# Bytes that a thread takes at a time: fewer are read sooner than they are handed out.
_SHARE = 2_000_000
# Of a file beside one that was found to be damaged: the next start looks at all of it.
DAMAGED = ".damaged"


class Stored:
    """N uint8 arrays of one shape in a file, of which each has a checksum.

    They are read, not mapped: where somebody cuts the file short, or its disk fails, a mapped page
    ends the process by SIGBUS, and a short read can be made good. A copy, in another process too,
    opens the file again.

    Args:
        file: the arrays one after the other, and nothing else.
        shape: of all, (N, ...).
        checksums: uint32 (N,), CRC-32 of each.
        again: makes a row anew that is not what it was.
        workers: threads that read.
        only: int64 (n,), those that count, in their order; None for all.

    Attributes:
        shape: as above.
        nbytes: of all.
    """

    def __init__(
        self,
        file: Path,
        shape: tuple[int, ...],
        checksums: NDArray[np.uint32],
        again: Callable[[int], NDArray[np.uint8]],
        workers: int,
        only: "NDArray[np.int64] | None" = None,
    ) -> None:
        self._every = np.arange(shape[0]) if only is None else only
        self._whole = shape
        self.shape = (len(self._every), *shape[1:])
        self._row_bytes = int(np.prod(shape[1:]))
        self.nbytes = len(self._every) * self._row_bytes
        self._file = file.absolute()
        self._checksums = checksums
        self._again = again
        self._workers = max(1, workers)
        # Kept open, as who decodes the folder anew removes the file.
        self._descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._descriptor)
        self._lock = threading.Lock()
        self._warned = False

    def __reduce__(self) -> tuple[object, ...]:
        parts = (self._file, self._whole, self._checksums, self._again, self._workers)
        return _opened_again, (*parts, self._every)

    def only(self, rows: NDArray[np.int64]) -> "Stored":
        """Some of the arrays, int64 (n,), as if the others were not there."""
        parts = (self._file, self._whole, self._checksums, self._again, self._workers)
        return Stored(*parts, self._every[rows])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: "NDArray[np.int64] | slice | list[int]") -> NDArray[np.uint8]:
        """Read uint8 (len(rows), ...)."""
        wanted = self._every[rows]
        found = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        for position in np.flatnonzero(~self._read(wanted, found)).tolist():
            self._warn()
            found[position] = self._again(int(wanted[position]))
        return found

    def intact(self) -> NDArray[np.bool_]:
        """Read everything once, and tell which rows are what they were: bool (N,)."""
        step = max(1, self._workers * _SHARE // max(1, self._row_bytes))
        starts = range(0, len(self), step)
        parts = [self._every[start : start + step] for start in starts]
        found = np.empty((step, *self.shape[1:]), np.uint8)
        return np.concatenate([np.zeros(0, bool), *(self._read(part, found) for part in parts)])

    def _read(self, rows: NDArray[np.int64], into: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Read rows into the first of an array, in threads if they are large; which are intact?"""
        share = max(1, _SHARE // max(1, self._row_bytes))
        if len(rows) <= share or self._workers == 1:
            return np.fromiter(self._read_share(rows, into), bool, len(rows))

        def read(start: int) -> list[bool]:
            return list(self._read_share(rows[start : start + share], into[start:]))

        with ThreadPoolExecutor(self._workers) as pool:
            starts = range(0, len(rows), share)
            return np.array([one for part in pool.map(read, starts) for one in part], bool)

    def _read_share(self, rows: NDArray[np.int64], into: NDArray[np.uint8]) -> Iterator[bool]:
        for row, target in zip(rows.tolist(), into, strict=False):
            count = self._read_at(row * self._row_bytes, target)
            yield count == self._row_bytes and zlib.crc32(target.data) == self._checksums[row]

    def _read_at(self, offset: int, target: NDArray[np.uint8]) -> int:
        """Read bytes from a place in the file; how many there are."""
        try:
            if hasattr(os, "preadv"):
                count: int = os.preadv(self._descriptor, [target.data], offset)
                return count
            with self._lock:  # on Windows, where a file has but one place
                os.lseek(self._descriptor, offset, os.SEEK_SET)
                content = os.read(self._descriptor, target.nbytes)
        except OSError:  # a disk that fails
            return -1
        target.reshape(-1)[: len(content)] = np.frombuffer(content, np.uint8)
        return len(content)

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            with suppress(OSError):  # of a disk that cannot be written
                self._file.with_suffix(DAMAGED).touch()
            log.warning(
                "%s has been damaged since it was opened: what is lost is decoded again from the "
                "images, now and whenever it is needed; the next start mends the cache.",
                self._file,
            )


def _opened_again(file: Path, *parts: Any) -> Stored:
    try:
        return Stored(file, *parts)
    except FileNotFoundError:
        raise FishError(
            f"{file} is not there any more: the cache has been removed, or built anew from other "
            "images, since it was opened; set up the data again"
        ) from None
