"""A listing to arrays: every picture is decoded once, to one square size."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.catalogue import Catalogue, file_stamps, read_files
from fishcnn.data.decoding.decode import DIGEST_BYTES, Decoded
from fishcnn.data.decoding.disk_cache import load_cached
from fishcnn.data.decoding.on_demand import OnDemand
from fishcnn.data.image_folder import ImageIndex
from fishcnn.utils.errors import FishError

log = logging.getLogger(__name__)

# More names than this would push the rest off the screen.
_NAMED = 10


@dataclass(frozen=True)
class Unreadable:
    """A file that looked like a picture by its name and was left out.

    Attributes:
        path: Relative to the root.
        reason: A few words, such as "truncated".
    """

    path: Path
    reason: str


class Pixels(Protocol):
    """N uint8 arrays of one shape: in memory, memory-mapped, or decoded when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The first number is N."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that they take, in memory or mapped from disk."""
        ...

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class ImageSet:
    """N decoded pictures.

    Attributes:
        pixels: uint8 (N, S, S, 3), RGB; each picture squashed to a square.
        aspect: float32 (N,), width / height of the upright original, to undo the squashing.
        masks: uint8 (N, S, S), 255 on the fish and 0 elsewhere, squashed alike; None without masks.
        labels: int64 (N,), indices into classes.
        paths: N paths relative to the root of the listing.
        classes: Class names.
        splits: "train", "val" or "test" for each picture where the folder was split already.
        unreadable: The files that were left out.
        sizes: int32 (N, 2), width and height of the upright originals in pixels.
        digests: uint8 (N, D), equal for files with the same bytes.
        fingerprints: uint8 (N, B), alike for near-duplicates.
        moments: int64 (N, 2, 3), sum and sum of squares of each channel.
        arrays: Path (without suffix) of the arrays in the cache, which belongs to just this
            content; None without a cache.
    """

    pixels: Pixels
    aspect: NDArray[np.float32]
    masks: Pixels | None
    labels: NDArray[np.int64]
    paths: tuple[Path, ...]
    classes: tuple[str, ...]
    splits: tuple[str, ...] | None
    unreadable: tuple[Unreadable, ...]
    sizes: NDArray[np.int32]
    digests: NDArray[np.uint8]
    fingerprints: NDArray[np.uint8]
    moments: NDArray[np.int64]
    arrays: Path | None


def load_images(
    listing: ImageIndex,
    *,
    working_size: int,
    masks_root: Path | None,
    workers: int,
    cache: str,
    cache_root: Path,
) -> ImageSet:
    """Decode every picture of a listing; those that cannot be read are left out and named.

    Args:
        listing: What to decode.
        working_size: S, side of the square that every picture is squashed to, in pixels.
        masks_root: Folder with a mask for every picture, at the picture's relative path with the
            suffix .png; brighter than 127 means fish. None for no masks.
        workers: Threads to decode with; 0 means one, as 1 does.
        cache: "disk" to keep them memory-mapped below cache_root, for the next runs as well; "ram"
            to keep them in memory; "none" to decode again whenever a picture is asked for.
        cache_root: Folder of the cache.

    Raises:
        FishError: A mask is missing, unreadable, of another shape than its picture, or written with
            0 and 1 for 0 and 255; or the disk is full.
    """
    arrays = None
    images: Pixels
    masks: Pixels | None
    if cache == "disk":
        stored = load_cached(
            listing, side=working_size, masks_root=masks_root, workers=workers, cache=cache_root
        )
        catalogue, images, masks, arrays = (
            stored.catalogue,
            stored.images,
            stored.masks,
            stored.arrays,
        )
    elif cache == "ram":
        catalogue, images, masks = _decode_to_memory(listing, masks_root, working_size, workers)
    else:
        catalogue, images, masks = _decode_on_demand(listing, masks_root, working_size, workers)
    unreadable = tuple(
        Unreadable(path, reason)
        for path, reason in zip(listing.paths, catalogue.reasons, strict=True)
        if reason
    )
    _warn_of(unreadable, len(listing.paths))
    readable = catalogue.readable
    sizes = catalogue.sizes
    return ImageSet(
        pixels=images,
        aspect=(sizes[:, 0] / sizes[:, 1]).astype(np.float32),
        masks=masks,
        labels=listing.labels[readable],
        paths=tuple(listing.paths[index] for index in readable),
        classes=listing.classes,
        splits=None if listing.splits is None else tuple(listing.splits[i] for i in readable),
        unreadable=unreadable,
        sizes=sizes,
        digests=catalogue.digests[readable, : DIGEST_BYTES // 2],
        fingerprints=catalogue.fingerprints,
        moments=catalogue.moments,
        arrays=arrays,
    )


def _decode_to_memory(
    listing: ImageIndex, masks_root: Path | None, side: int, workers: int
) -> tuple[Catalogue, NDArray[np.uint8], NDArray[np.uint8] | None]:
    count = len(listing.paths)
    megabytes = count * side * side * (3 if masks_root is None else 4) / 1e6
    log.info("Decoding %d pictures to %dx%d: %.0f MB of memory.", count, side, side, megabytes)
    images = np.empty((count, side, side, 3), np.uint8)
    masks = None if masks_root is None else np.empty((count, side, side), np.uint8)
    kept = 0

    def keep(decoded: Decoded) -> None:
        nonlocal kept
        images[kept] = decoded.image
        if masks is not None and decoded.mask is not None:
            masks[kept] = decoded.mask
        kept += 1

    catalogue = _read_all(listing, masks_root, side, workers, keep)
    return catalogue, images[:kept], None if masks is None else masks[:kept]


def _decode_on_demand(
    listing: ImageIndex, masks_root: Path | None, side: int, workers: int
) -> tuple[Catalogue, Pixels, Pixels | None]:
    log.info(
        "Reading %d pictures once for their sizes and fingerprints, and again in every epoch: "
        "data.cache=none keeps none.",
        len(listing.paths),
    )
    catalogue = _read_all(listing, masks_root, side, workers, lambda decoded: None)
    files = [listing.paths[index] for index in catalogue.readable]

    def images(part: str, shape: tuple[int, ...]) -> OnDemand:
        return OnDemand(
            part=part,
            root=listing.root,
            paths=files,
            masks_root=masks_root,
            shape=shape,
            workers=workers,
        )

    masks = images("mask", (side, side)) if masks_root else None
    return catalogue, images("image", (side, side, 3)), masks


def _read_all(
    listing: ImageIndex,
    masks_root: Path | None,
    side: int,
    workers: int,
    keep: Callable[[Decoded], None],
) -> Catalogue:
    return read_files(
        listing,
        stamps=file_stamps(listing, masks_root),
        masks_root=masks_root,
        side=side,
        workers=workers,
        known=lambda index: None,
        keep=keep,
    )


def _warn_of(unreadable: tuple[Unreadable, ...], count: int) -> None:
    if not unreadable:
        return
    log.warning("Left out %d of %d pictures that cannot be read:", len(unreadable), count)
    for file in unreadable[:_NAMED]:
        log.warning("  %s: %s", file.path, file.reason)
    if len(unreadable) > _NAMED:
        log.warning("  and %d more, all of them in the data report", len(unreadable) - _NAMED)


def check_enough(pictures: ImageSet, listing: ImageIndex) -> None:
    """Check that every class can be trained and validated on what was readable.

    Raises:
        FishError: A class has fewer than two pictures, or, where the folder is split already, none
            in train/.
    """
    needed, needed_for = 2, "one for training, one for validation"
    usable = np.ones(len(pictures.paths), np.bool_)
    where = listing.root
    if pictures.splits is not None and listing.splits is not None:
        needed, needed_for = 1, "for training"
        usable = np.array(pictures.splits, dtype="U5") == "train"
        where /= listing.paths[listing.splits.index("train")].parts[0]
    counts = np.bincount(pictures.labels[usable], minlength=len(pictures.classes))
    for name, count in zip(pictures.classes, counts, strict=True):
        if count < needed:
            found = f"{count} readable picture{'' if count == 1 else 's'}"
            raise FishError(
                f"class {name} in {where / name} has {found}; "
                f"needs at least {needed}: {needed_for}. Add pictures, or move the folder away."
            )
