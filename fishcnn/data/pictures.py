"""A listing to arrays: every picture is decoded once, to one square size, and kept in memory."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from fishcnn.data.read import UnreadablePicture, read_picture, read_picture_and_size
from fishcnn.data.scan import Listing
from fishcnn.errors import FishError

log = logging.getLogger(__name__)

# Fewer pictures than this are decoded before a progress bar could be read.
_SHOW_PROGRESS_ABOVE = 500
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


@dataclass(frozen=True)
class Pictures:
    """N decoded pictures.

    Attributes:
        images: uint8 (N, S, S, 3), RGB, C-contiguous; each picture squashed to a square.
        aspect: float32 (N,), width / height of the upright original, to undo the squashing.
        masks: uint8 (N, S, S), 255 on the fish and 0 elsewhere, squashed alike; None without masks.
        labels: int64 (N,), indices into classes.
        paths: N paths relative to the root of the listing.
        classes: Class names.
        sides: "train", "val" or "test" for each picture where the folder was split already.
        unreadable: The files that were left out.
        sizes: int32 (N, 2), width and height of the upright originals in pixels; None where there
            are no originals.
    """

    images: NDArray[np.uint8]
    aspect: NDArray[np.float32]
    masks: NDArray[np.uint8] | None
    labels: NDArray[np.int64]
    paths: tuple[Path, ...]
    classes: tuple[str, ...]
    sides: tuple[str, ...] | None
    unreadable: tuple[Unreadable, ...]
    sizes: NDArray[np.int32] | None = None


def load_pictures(
    listing: Listing, *, working_size: int, masks_root: Path | None, workers: int
) -> Pictures:
    """Decode every picture of a listing; those that cannot be read are left out and named.

    Args:
        listing: What to decode.
        working_size: S, side of the square that every picture is squashed to, in pixels.
        masks_root: Folder with a mask for every picture, at the picture's relative path with the
            suffix .png; brighter than 127 means fish. None for no masks.
        workers: Threads to decode with (Pillow lets go of the GIL); 0 means one, as 1 does.

    Raises:
        FishError: A mask is missing, unreadable, of another shape than its picture, or written with
            0 and 1 for 0 and 255.
    """
    count, side = len(listing.paths), working_size
    channels = 3 if masks_root is None else 4
    megabytes = count * side * side * channels / 1e6
    log.info("Decoding %d pictures to %dx%d: %.0f MB of memory.", count, side, side, megabytes)
    images = np.empty((count, side, side, 3), np.uint8)
    masks = None if masks_root is None else np.empty((count, side, side), np.uint8)
    sizes = np.empty((count, 2), np.int32)

    def decode(index: int) -> str | None:
        """Fill row index of the arrays; return why that was not possible."""
        path = listing.paths[index]
        try:
            picture, sizes[index] = read_picture_and_size(listing.root / path, long_enough_for=side)
        except UnreadablePicture as error:
            return error.reason
        images[index] = squash(picture, side)
        if masks is not None and masks_root is not None:
            mask = masks_root / path.with_suffix(".png")
            width, height = sizes[index].tolist()
            masks[index] = _read_mask(mask, side=side, aspect=width / height)
        return None

    with ThreadPoolExecutor(max(1, workers)) as pool:
        reasons = list(
            track(
                pool.map(decode, range(count)),
                "Decoding",
                total=count,
                transient=True,
                disable=count <= _SHOW_PROGRESS_ABOVE,
            )
        )
    unreadable = tuple(
        Unreadable(path, reason)
        for path, reason in zip(listing.paths, reasons, strict=True)
        if reason is not None
    )
    readable = [index for index, reason in enumerate(reasons) if reason is None]
    if unreadable:
        log.warning("Left out %d of %d pictures that cannot be read:", len(unreadable), count)
        for file in unreadable[:_NAMED]:
            log.warning("  %s: %s", file.path, file.reason)
        if len(unreadable) > _NAMED:
            log.warning("  and %d more, all of them in data.md", len(unreadable) - _NAMED)
        images = _keep_rows(images, readable)
        masks = None if masks is None else _keep_rows(masks, readable)
        sizes = sizes[readable]
    return Pictures(
        images=images,
        aspect=(sizes[:, 0] / sizes[:, 1]).astype(np.float32),
        masks=masks,
        labels=listing.labels[readable],
        paths=tuple(listing.paths[index] for index in readable),
        classes=listing.classes,
        sides=None if listing.sides is None else tuple(listing.sides[i] for i in readable),
        unreadable=unreadable,
        sizes=sizes,
    )


def check_enough(pictures: Pictures, listing: Listing) -> None:
    """Check that every class can be trained and validated on what was readable.

    Raises:
        FishError: A class has fewer than two pictures, or, where the folder is split already, none
            in train/.
    """
    needed, needed_for = 2, "one for training, one for validation"
    usable = np.ones(len(pictures.paths), np.bool_)
    where = listing.root
    if pictures.sides is not None and listing.sides is not None:
        needed, needed_for = 1, "for training"
        usable = np.array(pictures.sides, dtype="U5") == "train"
        where /= listing.paths[listing.sides.index("train")].parts[0]
    counts = np.bincount(pictures.labels[usable], minlength=len(pictures.classes))
    for name, count in zip(pictures.classes, counts, strict=True):
        if count < needed:
            found = f"{count} readable picture{'' if count == 1 else 's'}"
            raise FishError(
                f"class {name} in {where / name} has {found}; "
                f"needs at least {needed}: {needed_for}. Add pictures, or move the folder away."
            )


def squash(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """Resize to side x side with antialiasing."""
    # The gap only matters to large pictures that are no JPEG: a box filter takes the first steps.
    small = picture.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(small)


def _read_mask(path: Path, *, side: int, aspect: float) -> NDArray[np.uint8]:
    """Read a mask as uint8 (side, side) of 0 and 255.

    Args:
        path: The mask.
        side: Pixels of the square.
        aspect: Width / height of the picture that the mask belongs to.
    """
    if not path.is_file():
        raise FishError(f"mask {path} does not exist; data.masks_root needs one a picture.")
    try:
        mask = read_picture(path, long_enough_for=None).convert("L")
    except UnreadablePicture as error:
        raise FishError(f"mask {path} cannot be read: {error.reason}.") from error
    # A smaller mask is fine, and its sides were rounded.
    if abs(mask.width - mask.height * aspect) > 1 + aspect:
        raise FishError(
            f"mask {path} is {mask.width}x{mask.height}, another shape than its picture, whose "
            f"width / height is {aspect:.3f}."
        )
    brightest = int(np.asarray(mask).max())
    if 0 < brightest <= 127:
        raise FishError(
            f"mask {path} is nowhere brighter than {brightest}; "
            "write 255 on the fish and 0 elsewhere."
        )
    fish = mask.point([255 * (level > 127) for level in range(256)])
    covered = np.asarray(fish.resize((side, side), Image.Resampling.BOX))
    return np.where(covered > 127, np.uint8(255), np.uint8(0))


def _keep_rows(array: NDArray[np.uint8], rows: list[int]) -> NDArray[np.uint8]:
    """Move the rows to keep to the front, in place: a copy would double the memory."""
    for target, source in enumerate(rows):
        if target != source:
            array[target] = array[source]
    return array[: len(rows)]
