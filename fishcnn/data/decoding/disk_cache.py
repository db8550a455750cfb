"""Decoded images on disk, shared by whoever trains on a folder: only what is new is decoded.

Nothing is believed unchecked: the index of a cache has a checksum, and in it is one for each image,
compared whenever the cache is opened, so that damage is said and mended once, and whenever an image
is read, as it may come later. What lies in a folder of the cache, says
:mod:`fishcnn.data.decoding.cache_folder`.
"""

import errno
import hashlib
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from fishcnn.data.decoding.cache_folder import LOCK, Cached, open_cached, sweep, write_index
from fishcnn.data.decoding.decode import Decoded, content_digest, decode, decode_files, in_order
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.decoding.read import decoder_version
from fishcnn.data.decoding.resize import SQUASH, Square
from fishcnn.data.decoding.row_files import RowFiles
from fishcnn.data.decoding.stored import Stored
from fishcnn.data.image_index import DIGEST_BYTES, FACTS, ImageIndex, mask_path
from fishcnn.utils.errors import ArgumentError, FishError

log = logging.getLogger(__name__)

# Of what is decoded and how; a cache of another version is built anew.
_VERSION = 4
# A file written this shortly before its stamp was read may be written again with the same stamp:
# clocks of file systems tick that slowly.
_TICK_NS = 2_000_000_000
# What was decoded before a kill is not lost, but for the last so many seconds.
_KEEP_SECONDS = 30.0
# A larger cache takes too long to be compared at every start: it is where it is read.
_MOST_COMPARED = 4_000_000_000
# Old images that are copied at a time.
_COPIED = 32
_WAYS_OUT = "free some space, name a folder on another disk, or choose ram as the cache"


def load_cached(index: ImageIndex, *, square: Square, workers: int, cache: Path) -> ImageSet:
    """Open the decoded images of an index, after decoding what is new or has changed.

    A file counts as unchanged if its size and modification time are those of last time, or else if
    its bytes are. What has been damaged in the cache is decoded again, and that is said. Processes
    that come at the same time wait for the first one.

    Returns:
        The images, brought to the square, in files below the folder ``cache``.

    Raises:
        ArgumentError: The disk is full or cannot be written to.
        FishError: A mask does not fit.
    """
    folder = _cache_folder(index, square, cache)
    with _alone_in(folder):
        images = _up_to_date(index, square, workers, folder, check=False)
    # While everything is read, others may begin. What is open is not changed by them.
    if images.pixels.nbytes <= _MOST_COMPARED and not _intact(images).all():
        with _alone_in(folder):
            images = _up_to_date(index, square, workers, folder, check=True)
    return images


def _up_to_date(
    index: ImageIndex, square: Square, workers: int, folder: Path, *, check: bool
) -> ImageSet:
    """Open what is there where nothing has changed, else build; ``check`` for damage as well."""
    now = time.time_ns()
    stamps = _file_stamps(index)
    # The stamps of files that were written a moment ago are forgotten: these are read again.
    fresh = stamps[:, [1, 3]].max(axis=1) > now - _TICK_NS
    believed = np.where(fresh[:, None], np.int64(-2), stamps)
    old = open_cached(folder, index, square, workers)
    known = np.full(len(index.paths), -1)
    if old is not None:
        facts = old.images.index.facts
        digests = _digests(old.images.index, index, stamps, workers)
        intact = np.ones(len(old.images.paths), np.bool_)
        if check or old.doubted:
            intact = _intact(old.images)
        if damaged := int((~intact).sum()):
            text = "The cache %s is damaged: %d of its %d images are decoded again."
            log.warning(text, folder, damaged, len(intact))
        elif (
            old.images.index.paths == index.paths
            and np.array_equal(facts["digest"], digests)
            and not _any_readable_now(old.images.index, square, workers)
        ):
            if old.doubted:
                sweep(folder, keep=old)
            if not np.array_equal(facts["stamp"], believed):
                facts["stamp"] = believed
                write_index(old.images.index, old.files)
            return old.images
        known = _places(digests, old.images.facts["digest"], intact)
    sweep(folder, keep=old)
    return _build(index, believed, square, workers, folder, old, known)


def _places(
    wanted: NDArray[np.uint8], digests: NDArray[np.uint8], intact: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Where the intact ones of R digests are the wanted ones: int64 (N,), -1 where none is."""
    names, asked = (
        np.ascontiguousarray(array).view(f"S{DIGEST_BYTES}")[:, 0]
        for array in (digests[intact], wanted)
    )
    order = np.argsort(names)
    place = np.searchsorted(names, asked, sorter=order)
    found = place < len(names)
    found[found] = names[order[place[found]]] == asked[found]
    places = np.full(len(wanted), -1)
    places[found] = np.flatnonzero(intact)[order[place[found]]]
    return places


def _cache_folder(index: ImageIndex, square: Square, cache: Path) -> Path:
    root, masks_root = index.root.resolve(), index.masks_root and index.masks_root.resolve()
    # Another Pillow may decode to other pixels.
    decoder = (_VERSION, *decoder_version())
    of = [str(root), str(masks_root), square.side, decoder]
    name = f"{root.name}-{square.side}px"
    if square.resize != SQUASH:  # a cache of an earlier version is still good
        of.append(square.resize)
        name += f"-{square.resize}"
    digest = hashlib.blake2b(repr(of).encode("utf-8", "surrogateescape"), digest_size=6)
    return cache / f"{name}-{digest.hexdigest()}"


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep others out of a folder, and say what a person can do about errors of the disk."""
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=1)
        except Timeout:
            log.info("Another process is decoding the same images: waiting for it.")
            lock.acquire()
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        problem = "the disk is full" if full else f"cannot be used ({error})"
        raise ArgumentError("cache_root", folder, f"{problem}; {_WAYS_OUT}") from error
    finally:
        lock.release()


def _file_stamps(index: ImageIndex) -> NDArray[np.int64]:
    """Sizes and times of the files, int64 (N, 4) as in FACTS; -1 for a file that is not there."""
    stamps = np.full((len(index.paths), 4), -1, np.int64)
    for stamp, path in zip(stamps, index.paths.posix, strict=True):
        mask = index.masks_root and mask_path(index.masks_root, Path(path))
        for place, file in ((0, os.path.join(index.root, path)), (2, mask)):
            with suppress(OSError, ValueError):
                if file:
                    stat = os.stat(file)
                    # A copy may keep the modification time of its original, but not the time of
                    # its inode.
                    times = (stat.st_mtime_ns, stat.st_ctime_ns)
                    stamp[place : place + 2] = stat.st_size, max(times)
    return stamps


def _digests(
    old: ImageIndex, index: ImageIndex, stamps: NDArray[np.int64], workers: int
) -> NDArray[np.uint8]:
    """Digest every file of an index; those with the stamp of last time are not read for it."""
    if old.paths == index.paths:
        before = np.arange(len(index.paths))
    else:
        position = {path: file for file, path in enumerate(old.paths.posix)}
        before = np.array([position.get(path, -1) for path in index.paths.posix], np.int64)
    digests: NDArray[np.uint8] = old.facts["digest"][before]
    sure = (before >= 0) & (old.facts["stamp"][before] == stamps).all(axis=1)
    # What the system would not let us read may be readable now, whatever its stamp.
    unsure = np.flatnonzero(~sure | np.isin(before, list(old.reasons))).tolist()

    def digest(file: int) -> NDArray[np.uint8]:
        return content_digest(*index.files(file))

    for file, new in zip(unsure, in_order(digest, unsure, workers=workers), strict=True):
        digests[file] = new
    return digests


def _any_readable_now(index: ImageIndex, square: Square, workers: int) -> bool:
    """Whether a file that could not be decoded can be now: by a higher limit, or another package.

    These are not in the name of the folder, so that the others need not be decoded anew.
    """

    def is_readable(file: int) -> bool:
        return isinstance(decode(*index.files(file), square=square)[1], Decoded)

    return any(in_order(is_readable, list(index.reasons), workers=workers))


def _check_space(index: ImageIndex, square: Square, count: int, needed: int, folder: Path) -> None:
    """Say what it takes to decode so many of the images, and refuse what cannot fit."""
    side, free = square.side, shutil.disk_usage(folder).free
    log.info(
        f"Decoding {count} of {len(index.paths)} images to {side}x{side}: {needed / 1e6:.0f} MB in "
        f"{folder} ({free / 1e9:.1f} GB free)."
    )
    if needed > free:
        problem = f"{needed / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free; {_WAYS_OUT}"
        raise ArgumentError("cache_root", folder, problem)


def _intact(images: ImageSet) -> NDArray[np.bool_]:
    """Compare all checksums, bool (R,)."""
    intact = np.ones(len(images.paths), np.bool_)
    for part in (images.pixels, images.masks, images.fingerprints):
        if isinstance(part, Stored):
            intact &= part.intact()
    return intact


def _build(
    index: ImageIndex,
    stamps: NDArray[np.int64],
    square: Square,
    workers: int,
    folder: Path,
    old: Cached | None,
    known: NDArray[np.int64],
) -> ImageSet:
    """Decode what is not known, behind what is there, and let the index name it.

    ``known`` says which of the old images each file is, or -1.
    """
    there, new = known >= 0, np.flatnonzero(known < 0)
    facts = np.zeros(len(known), FACTS)
    facts["row"] = -1
    if old is not None:
        facts[there] = old.images.facts[known[there]]
    facts["stamp"] = stamps
    kept = len(np.unique(facts["row"][there]))
    files = old.files if old else None
    # Half of the space may be lost to images that nobody needs any more.
    begins = files is None or files.end - kept >= kept + len(new)
    if begins:
        files = RowFiles(folder / uuid.uuid4().hex[:12], 0, square, masks=bool(index.masks_root))
    assert files is not None
    _check_space(index, square, len(new), files.row_bytes * (len(new) + begins * kept), folder)
    reasons: dict[int, str] = {}
    done = there.copy()
    last = time.monotonic()

    def keep() -> None:
        files.keep()
        write_index(replace(index, facts=facts, reasons=reasons).only(np.flatnonzero(done)), files)

    try:
        with files:
            if begins and old is not None and kept:
                facts["row"][there] = _copied(old, known[there], files)
            try:
                for file, (found, decoded) in zip(
                    new.tolist(),
                    decode_files(index, new.tolist(), square=square, workers=workers),
                    strict=True,
                ):
                    facts[file] = found
                    facts["stamp"][file] = stamps[file]
                    if isinstance(decoded, str):
                        reasons[file] = decoded
                    else:
                        facts["row"][file] = files.append(decoded)
                    done[file] = True
                    if time.monotonic() > last + _KEEP_SECONDS:
                        keep()
                        last = time.monotonic()
            except (KeyboardInterrupt, FishError):  # what is decoded need not be decoded again
                keep()
                raise
            keep()
    except OSError:  # on a full disk, part of a failed build would be in its own way
        if not files.kept:
            sweep(folder, keep=old)
        raise
    built = open_cached(folder, index, square, workers)
    if built is None:  # what was written a moment ago
        raise OSError(errno.EIO, "the disk does not return what was written", str(folder))
    sweep(folder, keep=built)
    return built.images


def _copied(old: Cached, known: NDArray[np.int64], files: RowFiles) -> NDArray[np.int64]:
    """Append old images, many at a time, to new files; int64, their rows there."""
    wanted, place = np.unique(known, return_inverse=True)
    images = old.images
    rows = []
    for some in np.split(wanted, range(_COPIED, len(wanted), _COPIED)):
        masks = [None] * len(some) if images.masks is None else images.masks[some]
        parts = zip(images.pixels[some], masks, images.fingerprints[some], strict=True)
        rows += [files.append(Decoded(*part)) for part in parts]
    return np.array(rows, np.int64)[place]
