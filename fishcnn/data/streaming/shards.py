"""Reading images out of shards, each of which is fetched when it is wanted, or ahead of that."""

import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from io import RawIOBase
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.streaming.packed_files import PackedFiles
from fishcnn.utils.errors import FishError


class Shard(NamedTuple):
    """A file of litdata's format: the number of items, where each begins, and the items."""

    name: str
    items: int

    @property
    def header(self) -> int:
        """Bytes before the first item: 4 for the number, 4 for each offset and for the end."""
        return 4 * (self.items + 2)


class Shards:
    """The shards of all splits, with the place of every image in them.

    They are read, not mapped: a mapped page of a file that is cut short ends the process.

    Args:
        files: where the shards are.
        shards: all of them.
        where: int64 (N, 2), for each image its shard and its position in that.
        item_bytes: of every item.
        workers: threads that read and fetch.
        room: bytes that copies of shards may take, if the files are remote; those in use and those
            that come next are kept in any case.
    """

    def __init__(
        self,
        files: PackedFiles,
        shards: Sequence[Shard],
        where: NDArray[np.int64],
        item_bytes: int,
        *,
        workers: int,
        room: float,
    ) -> None:
        self.shards = tuple(shards)
        self.where = where
        self._files = files
        self._item_bytes = item_bytes
        self._workers = max(1, workers)
        self._room = room
        self._next: dict[int, Sequence[int]] = {}
        # Copies, the one that was wanted last at the end; and those that are being fetched.
        self._copies: OrderedDict[int, None] = OrderedDict()
        self._coming: dict[int, Future[Path]] = {}
        self._lock = threading.Lock()
        if files.remote:
            self._fetching = ThreadPoolExecutor(self._workers, "fetch a shard")
            there = (n for n, shard in enumerate(shards) if files.has(shard.name))
            self._copies.update(dict.fromkeys(there))

    def expect(self, order: Sequence[int], ahead: int) -> None:
        """Fetch so many shards ahead of the one that is read, now that their order is known."""
        ends = range(1, len(order) + 1)
        after = {shard: order[end : end + ahead] for shard, end in zip(order, ends, strict=True)}
        with self._lock:
            self._next = after

    def read(
        self,
        rows: NDArray[np.int64],
        offset: int,
        checksums: NDArray[np.uint32],
        into: NDArray[np.uint8],
    ) -> None:
        """Read a part of the items of some images, int64 (n,), which begins so far in each.

        ``checksums``, uint32 (N,), are CRC-32 of that part of every image; ``into`` is uint8
        (n, ...).

        Raises:
            FishError: a shard is gone or damaged.
        """
        of = self.where[rows, 0]
        wanted = np.unique(of).tolist()
        self._prepare(wanted)

        def read_shard(shard: int) -> None:
            at = np.flatnonzero(of == shard).tolist()
            items = [(int(rows[position]), into[position]) for position in at]
            self._read_shard(shard, items, offset, checksums)

        with ThreadPoolExecutor(self._workers) as pool:
            list(pool.map(read_shard, wanted))

    def _read_shard(
        self,
        shard: int,
        items: Iterable[tuple[int, NDArray[np.uint8]]],
        offset: int,
        checksums: NDArray[np.uint32],
    ) -> None:
        name = self.shards[shard].name
        for _ in range(2):
            with self._opened(shard) as file:
                if all(
                    self._read_item(file, shard, row, offset, target)
                    and zlib.crc32(target.data) == checksums[row]
                    for row, target in items
                ):
                    return
            if not self._files.forget(name):
                break
        raise FishError(
            f"{self._files.place}/{name} is damaged: pack the images again, or restore the file"
        )

    def _read_item(
        self, file: RawIOBase, shard: int, row: int, offset: int, target: NDArray[np.uint8]
    ) -> bool:
        """Read one part; is it all there?"""
        begin = self.shards[shard].header + int(self.where[row, 1]) * self._item_bytes
        try:
            file.seek(begin + offset)
            return file.readinto(target.data) == target.nbytes
        except OSError:  # a disk that fails
            return False

    def _opened(self, shard: int) -> RawIOBase:
        """Open a shard, which another process may be removing to make room."""
        with self._lock:
            coming = self._coming.pop(shard, None)
        if coming:
            wait([coming])  # what has gone wrong goes wrong once more, and is told
        while True:
            path = self._files.path(self.shards[shard].name)
            try:
                return path.open("rb", buffering=0)
            except FileNotFoundError:
                continue

    def _prepare(self, wanted: Sequence[int]) -> None:
        """Begin to fetch what is wanted now or next, and make room for that."""
        if not self._files.remote:
            return
        with self._lock:
            needed = dict.fromkeys(wanted)
            for shard in wanted:
                after = self._next.get(shard, range(shard + 1, len(self.shards))[:1])
                needed |= dict.fromkeys(after)
            for shard in needed:
                if shard not in self._copies:
                    name = self.shards[shard].name
                    self._coming[shard] = self._fetching.submit(self._files.path, name)
                self._copies[shard] = None
                self._copies.move_to_end(shard)
            self._make_room([shard for shard in self._copies if shard not in needed])

    def _make_room(self, spare: Sequence[int]) -> None:
        """Remove copies that nobody waits for, the oldest first, where they are too many."""
        taken = sum(map(self._bytes, self._copies))
        for shard in spare:
            coming = self._coming.get(shard)
            if coming and not coming.done() and not coming.cancel():
                continue  # it is being written
            if taken > self._room or (coming and coming.cancelled()):
                self._files.forget(self.shards[shard].name)
                self._coming.pop(shard, None)
                del self._copies[shard]
                taken -= self._bytes(shard)

    def _bytes(self, shard: int) -> int:
        of = self.shards[shard]
        return of.header + of.items * self._item_bytes


class Packed:
    """N uint8 arrays of one shape, a part of the items of some images in shards.

    Args:
        shards: of all images.
        offset: of the part in every item, in bytes.
        shape: of one array.
        checksums: uint32, CRC-32 of the part of every image in the shards.
        rows: int64 (N,), which of those images.

    Attributes:
        shape: of all, (N, ...).
        nbytes: of all.
    """

    def __init__(
        self,
        shards: Shards,
        offset: int,
        shape: tuple[int, ...],
        checksums: NDArray[np.uint32],
        rows: NDArray[np.int64],
    ) -> None:
        self._shards = shards
        self._offset = offset
        self._checksums = checksums
        self._rows = rows
        self.shape = (len(rows), *shape)
        self.nbytes = int(np.prod(self.shape))

    def only(self, rows: NDArray[np.int64]) -> "Packed":
        """Some of them, int64 (n,), as if the others were not there."""
        parts = (self._shards, self._offset, self.shape[1:], self._checksums)
        return Packed(*parts, self._rows[rows])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: "NDArray[np.int64] | slice | list[int]") -> NDArray[np.uint8]:
        """Read uint8 (len(rows), ...)."""
        wanted = self._rows[rows]
        found = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        self._shards.read(wanted, self._offset, self._checksums, found)
        return found
