"""Decoded images on disk: one array a folder, shared by whoever trains on it.

A folder of the cache belongs to one folder of images, one working size and one way of resizing. It
holds

    index.npz             what is known of every file, and the names of the two arrays
    NAME.images           uint8 (R, S, S, 3), the readable images in the order of the index
    NAME.masks            uint8 (R, S, S), where there are masks
    lock

The index is replaced in one step, after the arrays it names are complete: whatever a killed build
leaves behind is named by no index, and is swept away by the next one. Nothing is believed
unchecked: the index has a checksum, and in it is one for each image, compared whenever the cache is
opened, so that damage is said and mended once, and whenever an image is read, as it may come later.
"""

import errno
import hashlib
import logging
import math
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from fishcnn.data.decoding.decode import Decoded, content_digest, decode, decode_files, in_order
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.decoding.read import decoder_version
from fishcnn.data.decoding.resize import SQUASH, Square
from fishcnn.data.decoding.stored import Stored
from fishcnn.data.image_index import FACTS, ImageIndex
from fishcnn.utils.arrays import DamagedFile
from fishcnn.utils.errors import ArgumentError, FishError

log = logging.getLogger(__name__)

# Of what is decoded and how; a cache of another version is built anew.
_VERSION = 3
# A file written this shortly before its stamp was read may be written again with the same stamp:
# clocks of file systems tick that slowly.
_TICK_NS = 2_000_000_000
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
    if not _intact(images).all():
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
    old = _open(folder, index, square, workers)
    rows: list[int | None] = [None] * len(index.paths)
    if old is not None and old.arrays:
        facts = old.index.facts
        digests = _digests(old.index, index, stamps, workers)
        unchanged = (
            old.index.paths == index.paths
            and np.array_equal(facts["digest"], digests)
            and not _any_readable_now(old.index, square, workers)
        )
        # Old rows that are copied must be sound.
        intact = _intact(old) if check or not unchanged else np.ones(len(old.paths), np.bool_)
        if damaged := int((~intact).sum()):
            text = "The cache %s is damaged: %d of its %d images are decoded again."
            log.warning(text, folder, damaged, len(intact))
        elif unchanged:
            if not np.array_equal(facts["stamp"], believed):
                facts["stamp"] = believed
                _write_index(old.index, old.arrays)
            return old
        row_of = {
            old.facts["digest"][row].tobytes(): row for row in np.flatnonzero(intact).tolist()
        }
        rows = [row_of.get(digest.tobytes()) for digest in digests]
    _sweep(folder, keep=old)
    _check_space(index, square, rows.count(None), folder)
    return _build(index, believed, square, workers, folder, old, rows)


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
    lock = FileLock(folder / "lock")
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

    def stamp(file: Path | None) -> tuple[int, int]:
        try:
            stat = file.stat() if file else None
        except OSError:
            stat = None
        # A copy may keep the modification time of its original, but not the time of its inode.
        return (stat.st_size, max(stat.st_mtime_ns, stat.st_ctime_ns)) if stat else (-1, -1)

    pairs = map(index.files, range(len(index.paths)))
    return np.array([stamp(image) + stamp(mask) for image, mask in pairs], np.int64)


def _digests(
    old: ImageIndex, index: ImageIndex, stamps: NDArray[np.int64], workers: int
) -> NDArray[np.uint8]:
    """Digest every file of an index; those with the stamp of last time are not read for it."""
    position = {path: file for file, path in enumerate(old.paths)}
    before = np.array([position.get(path, -1) for path in index.paths])
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


def _check_space(index: ImageIndex, square: Square, count: int, folder: Path) -> None:
    """Say what it takes to decode so many of the images, and refuse what cannot fit."""
    side = square.side
    needed = len(index.paths) * side**2 * (4 if index.masks_root else 3) / 1e6
    free = shutil.disk_usage(folder).free / 1e6
    log.info(
        f"Decoding {count} of {len(index.paths)} images to {side}x{side}: {needed:.0f} MB in "
        f"{folder} ({free / 1e3:.1f} GB free)."
    )
    if needed > free:
        problem = f"{needed:.0f} MB are needed, {free:.0f} MB are free; {_WAYS_OUT}"
        raise ArgumentError("cache_root", folder, problem)


def _open(folder: Path, index: ImageIndex, square: Square, workers: int) -> ImageSet | None:
    """Open what is there for the root of an index; None where there is none, or it is damaged."""
    file = folder / "index.npz"
    if not file.is_file():
        return None
    try:
        old, more = ImageIndex.load(file)
        if old.paths == index.paths:
            # What they are taken for may have changed without them, and what lies beside them.
            old = replace(index, facts=old.facts, reasons=old.reasons)
        else:
            # The same folder may have been typed in another way, from elsewhere.
            old = replace(old, root=index.root, masks_root=index.masks_root)
        arrays = folder / more["arrays"]
        shape = (len(old.readable), square.side, square.side)
        pixels = _stored(arrays.with_suffix(".images"), (*shape, 3), old, square, workers)
        masks = old.masks_root and _stored(
            arrays.with_suffix(".masks"), shape, old, square, workers
        )
        return ImageSet(old, pixels, masks or None, arrays, resize=square.resize)
    except (DamagedFile, FileNotFoundError) as error:
        log.warning("The cache %s is damaged (%s) and is built anew.", folder, error)
        return None


def _stored(
    file: Path, shape: tuple[int, ...], index: ImageIndex, square: Square, workers: int
) -> Stored:
    if (size := file.stat().st_size) != math.prod(shape):
        raise DamagedFile(f"{file.name} has {size} bytes instead of {math.prod(shape)}")
    part = 0 if len(shape) == 4 else 1
    checksums = index.facts["checksum"][index.readable, part]
    again = partial(_decode_again, index, square, part)
    return Stored(file, shape, checksums, again, workers)


def _decode_again(index: ImageIndex, square: Square, part: int, row: int) -> NDArray[np.uint8]:
    """Decode a readable image (part 0), or its mask (part 1), that the cache has lost.

    Raises:
        FishError: The file has been changed or removed meanwhile.
    """
    file = int(index.readable[row])
    facts, decoded = decode(*index.files(file), square=square)
    if isinstance(decoded, str) or (facts["digest"] != index.facts["digest"][file]).any():
        raise FishError(
            f"the decoded image of {index.files(file)[0]} has been damaged in the cache, and the "
            "file has been changed or removed since it was decoded: start again"
        )
    lost = decoded[part]
    assert lost is not None
    return lost


def _intact(images: ImageSet) -> NDArray[np.bool_]:
    """Compare all checksums, bool (R,)."""
    intact = np.ones(len(images.paths), np.bool_)
    for part in (images.pixels, images.masks):
        if isinstance(part, Stored):
            intact &= part.intact()
    return intact


def _build(
    index: ImageIndex,
    stamps: NDArray[np.int64],
    square: Square,
    workers: int,
    folder: Path,
    old: ImageSet | None,
    rows: list[int | None],
) -> ImageSet:
    """Write new arrays, from old rows where there are such, and let the index name them."""
    arrays = folder / uuid.uuid4().hex[:12]
    facts = np.zeros(len(rows), FACTS)
    reasons: dict[int, str] = {}
    new = [file for file, row in enumerate(rows) if row is None]
    decoding = decode_files(index, new, square=square, workers=workers)
    copying = iter(()) if old is None else _old_rows(old, [row for row in rows if row is not None])
    suffixes = (".images", ".masks") if index.masks_root else (".images",)
    try:
        with ExitStack() as files:
            streams = [
                files.enter_context(arrays.with_suffix(suffix).open("wb")) for suffix in suffixes
            ]
            for file, row in enumerate(rows):
                if row is None or old is None:
                    facts[file], decoded = next(decoding)
                else:
                    facts[file], decoded = old.facts[row], next(copying)
                if isinstance(decoded, str):
                    reasons[file] = decoded
                    continue
                for stream, part in zip(streams, decoded, strict=False):
                    assert part is not None
                    stream.write(part.tobytes())
            for stream in streams:
                stream.flush()
                os.fsync(stream.fileno())
    except BaseException:  # on a full disk, part of a failed build would be in its own way
        _sweep(folder, keep=old)
        raise
    facts["stamp"] = stamps
    _write_index(replace(index, facts=facts, reasons=reasons), arrays)
    built = _open(folder, index, square, workers)
    if built is None:  # what was written a moment ago
        raise OSError(errno.EIO, "the disk does not return what was written", str(folder))
    _sweep(folder, keep=built)
    return built


def _old_rows(old: ImageSet, rows: list[int]) -> Iterator[Decoded]:
    """Yield old images with their masks, of which many are read at a time."""
    for start in range(0, len(rows), _COPIED):
        some = np.array(rows[start : start + _COPIED])
        masks = [None] * len(some) if old.masks is None else old.masks[some]
        yield from map(Decoded, old.pixels[some], masks)


def _write_index(index: ImageIndex, arrays: Path) -> None:
    """Replace the index in one step."""
    new = arrays.with_suffix(".index")
    index.save(new, arrays=arrays.name)
    os.replace(new, arrays.with_name("index.npz"))


def _sweep(folder: Path, keep: ImageSet | None) -> None:
    """Remove arrays that no index names; who has them open keeps them."""
    kept = keep.arrays.name if keep and keep.arrays else None
    for file in folder.iterdir():
        if file.name not in ("lock", "index.npz") and file.stem != kept:
            with suppress(PermissionError, IsADirectoryError):  # on Windows, open elsewhere
                file.unlink(missing_ok=True)
