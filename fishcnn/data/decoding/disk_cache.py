"""Decoded pictures on disk: one memory-mapped array a folder, shared by whoever trains on it.

A folder of the cache belongs to one folder of pictures at one working size. It holds

    index.npz             what is known of every file, and the names of the two arrays
    NAME.images           uint8 (R, S, S, 3), the readable pictures in the order of the listing
    NAME.masks            uint8 (R, S, S), where there are masks
    lock

The index is replaced in one step, after the arrays it names are complete: whatever a killed build
leaves behind is named by no index, and is swept away by the next one.
"""

import errno
import hashlib
import logging
import math
import mmap
import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import PIL
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from fishcnn.data.decoding.catalogue import Catalogue, digest_files, file_stamps, read_files
from fishcnn.data.decoding.decode import Decoded
from fishcnn.data.image_folder import ImageIndex
from fishcnn.utils.errors import FishError

log = logging.getLogger(__name__)

# Of what is decoded and how; a cache of another version is built anew.
_VERSION = 1
# A file written this shortly before its stamp was read may be written again with the same stamp:
# clocks of file systems tick that slowly.
_TICK_NS = 2_000_000_000
_MAP_NORESERVE = 0x4000  # of Linux; Python has a name for it from 3.13 on
_WAYS_OUT = "free some, set FISHCNN_CACHE=/another/disk, or add data.cache=ram"


@dataclass(frozen=True)
class Stored:
    """The content of a cache folder, opened.

    Attributes:
        catalogue: What is known of every file.
        images: uint8 (R, S, S, 3), memory-mapped; writing to it changes no file.
        masks: uint8 (R, S, S), likewise, or None.
        arrays: Path of the two arrays without their suffix; never used again for other content.
    """

    catalogue: Catalogue
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8] | None
    arrays: Path


def load_cached(
    listing: ImageIndex, *, side: int, masks_root: Path | None, workers: int, cache: Path
) -> Stored:
    """Open the decoded pictures of a listing, after decoding what is new or has changed.

    A file counts as unchanged if its size and modification time are those of last time, or else if
    its bytes are. Processes that come at the same time wait for the first one.

    Args:
        listing: The files.
        side: Pixels of the square that pictures are squashed to.
        masks_root: Folder of the masks, or None.
        workers: Threads that decode.
        cache: Folder that holds the cache folders.

    Raises:
        FishError: The disk is full or cannot be written to, or a mask does not fit.
    """
    folder = _cache_folder(listing.root, masks_root, side, cache)
    with _disk_errors(folder), _locked(folder):
        now = time.time_ns()
        stamps = file_stamps(listing, masks_root)
        old = _open(folder, side)
        sources: list[int | None] = [None] * len(listing.paths)
        if old is not None:
            digests = _digests(old, listing, stamps, masks_root, workers)
            if _paths(listing) == old.catalogue.paths and digests == _rows(old.catalogue.digests):
                return _stamped(old, stamps, now)
            rows = old.catalogue.readable
            row_of = {old.catalogue.digests[file].tobytes(): row for row, file in enumerate(rows)}
            sources = [row_of.get(digest) for digest in digests]
        _sweep(folder, keep=old.arrays if old else None)
        _say_cost(listing, side, masks_root, sources, folder)
        return _build(listing, stamps, now, side, masks_root, workers, folder, old, sources)


def _cache_folder(root: Path, masks_root: Path | None, side: int, cache: Path) -> Path:
    # Another Pillow may read what this one cannot.
    decoder = (_VERSION, PIL.__version__)
    of = [str(root.resolve()), str(masks_root.resolve() if masks_root else None), side, decoder]
    digest = hashlib.blake2b(repr(of).encode("utf-8", "surrogateescape"), digest_size=6)
    return cache / f"{root.resolve().name}-{side}px-{digest.hexdigest()}"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=1)
    except Timeout:
        log.info("Another process is decoding the same pictures: waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the operating system says of the cache into what a person can do about it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FishError(f"the disk of {folder} is full: {_WAYS_OUT}") from error
        raise FishError(f"the cache {folder} cannot be used: {error}; {_WAYS_OUT}") from error


def _paths(listing: ImageIndex) -> tuple[str, ...]:
    return tuple(path.as_posix() for path in listing.paths)


def _rows(digests: NDArray[np.uint8]) -> list[bytes]:
    return [row.tobytes() for row in digests]


def _digests(
    old: Stored,
    listing: ImageIndex,
    stamps: NDArray[np.int64],
    masks_root: Path | None,
    workers: int,
) -> list[bytes]:
    """Digest every file of a listing; those with the stamp of last time are not read for it."""
    before = old.catalogue
    position = {path: file for file, path in enumerate(before.paths)}
    digests: list[bytes] = []
    unsure: list[int] = []
    for index, path in enumerate(_paths(listing)):
        known = position.get(path)
        # What the system would not let us read may be readable now, whatever its stamp.
        if known is None or before.reasons[known] or (before.stamps[known] != stamps[index]).any():
            unsure.append(index)
        digests.append(b"" if known is None else before.digests[known].tobytes())
    for index, digest in zip(
        unsure, digest_files(listing, masks_root, unsure, workers=workers), strict=True
    ):
        digests[index] = digest
    return digests


def _stamped(old: Stored, stamps: NDArray[np.int64], now: int) -> Stored:
    """The old content with the stamps of today, which its index learns as well."""
    stamps = _without_fresh(stamps, now)
    if np.array_equal(stamps, old.catalogue.stamps):
        return old
    catalogue = replace(old.catalogue, stamps=stamps)
    _write_index(catalogue, old.arrays, old.masks is not None)
    return replace(old, catalogue=catalogue)


def _without_fresh(stamps: NDArray[np.int64], now: int) -> NDArray[np.int64]:
    """Forget the stamps of files that were written a moment ago, so that they are read again."""
    fresh = stamps[:, [1, 3]].max(axis=1) > now - _TICK_NS
    return np.where(fresh[:, None], np.int64(-2), stamps)


def _say_cost(
    listing: ImageIndex,
    side: int,
    masks_root: Path | None,
    sources: list[int | None],
    folder: Path,
) -> None:
    """Say what a build will take, and refuse one that cannot fit."""
    needed = len(listing.paths) * side * side * (3 if masks_root is None else 4)
    free = shutil.disk_usage(folder).free
    log.info(
        "Decoding %d of %d pictures to %dx%d: %.0f MB in %s (%.1f GB free).",
        sum(source is None for source in sources),
        len(listing.paths),
        side,
        side,
        needed / 1e6,
        folder,
        free / 1e9,
    )
    if needed > free:
        raise FishError(
            f"the disk of {folder} has {free / 1e6:.0f} MB free, and {needed / 1e6:.0f} MB are "
            f"needed: {_WAYS_OUT}"
        )


def _open(folder: Path, side: int) -> Stored | None:
    """Open what the index names; None where there is none yet, or somebody has damaged it."""
    index = folder / "index.npz"
    if not index.is_file():
        return None
    try:
        catalogue, more = Catalogue.load(index)
        arrays = folder / str(more["arrays"])
        count = len(catalogue.readable)
        images = _mapped(arrays.with_suffix(".images"), (count, side, side, 3))
        masks = (
            _mapped(arrays.with_suffix(".masks"), (count, side, side)) if more["masks"] else None
        )
    except (ValueError, KeyError, EOFError, BadZipFile, FileNotFoundError) as error:
        log.warning("The cache %s is damaged (%s) and is built anew.", folder, error)
        return None
    return Stored(catalogue, images, masks, arrays)


def _mapped(file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if file.stat().st_size != math.prod(shape):
        raise ValueError(f"{file} has {file.stat().st_size} bytes instead of {math.prod(shape)}")
    if not shape[0]:  # nothing cannot be mapped
        return np.empty(shape, np.uint8)
    if sys.platform != "linux":
        return np.memmap(file, np.uint8, "c", shape=shape)
    # Copy-on-write, as torch wants arrays that can be written to; but without reserving memory for
    # that, or Linux would refuse to map more than it has.
    flags = mmap.MAP_PRIVATE | _MAP_NORESERVE
    with file.open("rb") as stream:
        mapped = mmap.mmap(
            stream.fileno(), math.prod(shape), flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE
        )
    return np.frombuffer(mapped, np.uint8).reshape(shape)


def _build(
    listing: ImageIndex,
    stamps: NDArray[np.int64],
    now: int,
    side: int,
    masks_root: Path | None,
    workers: int,
    folder: Path,
    old: Stored | None,
    sources: list[int | None],
) -> Stored:
    """Write new arrays, from old rows where there are such, and let the index name them."""
    arrays = folder / uuid.uuid4().hex[:12]
    readable = old.catalogue.readable if old else np.empty(0, np.int64)

    def known(index: int) -> tuple[bytes, Decoded] | None:
        row = sources[index]
        if row is None or old is None:
            return None
        catalogue = old.catalogue
        width, height = catalogue.sizes[row].tolist()
        return catalogue.digests[readable[row]].tobytes(), Decoded(
            image=old.images[row],
            mask=None if old.masks is None else old.masks[row],
            size=(width, height),
            fingerprint=catalogue.fingerprints[row],
            moments=catalogue.moments[row],
        )

    with _removed_on_failure(folder, old), ExitStack() as files:
        images = files.enter_context(arrays.with_suffix(".images").open("wb"))
        written = [images]
        if masks_root:
            written.append(files.enter_context(arrays.with_suffix(".masks").open("wb")))

        def keep(decoded: Decoded) -> None:
            for file, array in zip(written, (decoded.image, decoded.mask), strict=False):
                assert array is not None
                file.write(array.tobytes())

        catalogue = read_files(
            listing,
            stamps=_without_fresh(stamps, now),
            masks_root=masks_root,
            side=side,
            workers=workers,
            known=known,
            keep=keep,
        )
        for file in written:
            file.flush()
            os.fsync(file.fileno())
    _write_index(catalogue, arrays, masks_root is not None)
    _sweep(folder, keep=arrays)
    built = _open(folder, side)
    assert built is not None
    return built


@contextmanager
def _removed_on_failure(folder: Path, old: Stored | None) -> Iterator[None]:
    """Leave no part of a build that has failed: on a full disk it would be in its own way."""
    try:
        yield
    except BaseException:
        _sweep(folder, keep=old.arrays if old else None)
        raise


def _write_index(catalogue: Catalogue, arrays: Path, masks: bool) -> None:
    """Replace the index in one step."""
    new = arrays.with_suffix(".index")
    catalogue.save(new, arrays=arrays.name, masks=int(masks))
    with new.open("r+b") as file:
        os.fsync(file.fileno())
    os.replace(new, arrays.with_name("index.npz"))


def _sweep(folder: Path, keep: Path | None) -> None:
    """Remove arrays that no index names; who has them open keeps them."""
    for file in folder.iterdir():
        if file.name not in ("lock", "index.npz") and (not keep or file.stem != keep.name):
            with suppress(PermissionError):  # Windows: open elsewhere, and swept another time
                file.unlink(missing_ok=True)
