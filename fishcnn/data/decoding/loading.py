"""The index of a folder to its images: every file is decoded once, to one square size."""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from fishcnn.data.decoding.decode import decode_files, read_mask
from fishcnn.data.decoding.disk_cache import load_cached
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.decoding.on_demand import OnDemand, read_square
from fishcnn.data.decoding.resize import Square
from fishcnn.data.duplicates.fingerprint import FINGERPRINT_BYTES
from fishcnn.data.image_index import FACTS, ImageIndex
from fishcnn.utils.errors import FishError
from fishcnn.utils.text import counted

log = logging.getLogger(__name__)

# More names than this would push the rest off the screen.
_NAMED = 10


def load_images(
    index: ImageIndex,
    *,
    square: Square,
    workers: int,
    cache: str,
    cache_root: Path,
    quiet: bool = False,
) -> ImageSet:
    """Decode every image of an index; those that cannot be read are left out and named.

    Args:
        index: What to decode.
        square: What every image is brought to.
        workers: Threads to decode with; 0 means one, as 1 does.
        cache: "disk" to keep them below cache_root, for the next runs as well, and read them there;
            "ram" to keep them in memory; "none" to decode again whenever an image is asked for.
        cache_root: Folder of the cache.
        quiet: Whether those that cannot be read have been named already.

    Raises:
        FishError: A mask is missing, unreadable, of another shape than its image, or written with
            0 and 1 for 0 and 255; or the disk is full.
    """
    if cache == "disk":
        images = load_cached(index, square=square, workers=workers, cache=cache_root)
    else:
        images = _load(index, square, workers, keep=cache == "ram")
    bad = () if quiet else images.unreadable
    if bad:
        log.warning("Left out %d of %d images that cannot be read:", len(bad), len(index.paths))
    for file in bad[:_NAMED]:
        log.warning("  %s: %s", file.path, file.reason)
    if len(bad) > _NAMED:
        log.warning("  and %d more, all of them in the data report", len(bad) - _NAMED)
    return images


def _load(index: ImageIndex, square: Square, workers: int, *, keep: bool) -> ImageSet:
    """Decode into memory, or only look at the images and decode them again on demand."""
    count, side = len(index.paths), square.side
    if keep:
        megabytes = count * side * side * (4 if index.masks_root else 3) / 1e6
        log.info("Decoding %d images to %dx%d: %.0f MB of memory.", count, side, side, megabytes)
    else:
        text = "Reading %d images to measure them; they are read again in every epoch (cache=none)."
        log.info(text, count)
    capacity = count if keep else 0
    pixels = np.empty((capacity, side, side, 3), np.uint8)
    masks = np.empty((capacity, side, side), np.uint8) if index.masks_root else None
    fingerprints = np.empty((count, FINGERPRINT_BYTES), np.uint8)
    facts = np.zeros(count, FACTS)
    reasons: dict[int, str] = {}
    kept = 0
    decoding = decode_files(index, range(count), square=square, workers=workers)
    for file, (facts_of_file, decoded) in enumerate(decoding):
        facts[file] = facts_of_file
        if isinstance(decoded, str):
            reasons[file] = decoded
            continue
        if keep:
            pixels[kept] = decoded.image
            if masks is not None and decoded.mask is not None:
                masks[kept] = decoded.mask
        fingerprints[kept] = decoded.fingerprint
        kept += 1
    index = replace(index, facts=facts, reasons=reasons)
    fingerprints = fingerprints[:kept]
    if keep:
        return ImageSet(
            index,
            pixels[:kept],
            None if masks is None else masks[:kept],
            fingerprints=fingerprints,
            resize=square.resize,
        )
    files = [index.files(file) for file in index.readable]
    read = partial(read_square, square=square)
    images = OnDemand(read, [image for image, _ in files], (side, side, 3), workers)
    if not index.masks_root:
        return ImageSet(index, images, fingerprints=fingerprints, resize=square.resize)
    read = partial(read_mask, square=square, aspect=None)
    masks_of = [mask for _, mask in files if mask]
    covered = OnDemand(read, masks_of, (side, side), workers)
    return ImageSet(index, images, covered, fingerprints=fingerprints, resize=square.resize)


def check_enough(images: ImageSet) -> None:
    """Check that every class can be trained and validated on what was readable.

    Raises:
        FishError: A class has fewer than two images, or, where the folder is split already, none
            in train/.
    """
    needed, needed_for = 2, "one for training, one for validation"
    usable = np.ones(len(images.paths), np.bool_)
    index = images.index
    if images.splits is not None and index.splits is not None:
        needed, needed_for = 1, "for training"
        usable = np.array(images.splits, dtype="U5") == "train"
    counts = np.bincount(images.labels[usable], minlength=len(images.classes))
    for label, (name, count) in enumerate(zip(images.classes, counts, strict=True)):
        if count < needed:
            raise FishError(
                f"class {name} in {_class_folder(index, label)} has "
                f"{counted(int(count), 'readable image')}; needs at least {needed}: {needed_for}. "
                "Add images, or move the folder away."
            )


def _class_folder(index: ImageIndex, label: int) -> Path:
    """Where the training images of a class are; for images in deeper folders, around them."""
    name = index.classes[label]
    splits = index.splits or ("train",) * len(index.paths)
    file = next(
        i for i, split in enumerate(splits) if split == "train" and index.labels[i] == label
    )
    parts = index.paths[file].parts
    if name not in parts:  # a person has corrected its class
        return index.root
    return index.root.joinpath(*parts[: parts.index(name) + 1])
