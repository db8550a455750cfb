"""A set of images to shards that litdata reads: uint8 squares, decoded as they are trained on.

They take 3 S² bytes an image, 77 kB at S = 160, so that a batch is read and not decoded, and is to
the bit the one that the folder gives. Training images lie in random order: a shard is a sample of
all classes.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.channel_statistics import channel_statistics
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.splitting.grouped_split import Splitting
from fishcnn.data.splitting.split_settings import SplitSettings
from fishcnn.data.streaming.packed_files import litdata_wanted
from fishcnn.data.streaming.packed_images import (
    Layout,
    Manifest,
    name_of,
    write_beside,
)
from fishcnn.utils.progress import track

# Images that are read at a time.
_READ = 64


def shard_order(splitting: Splitting, seed: int) -> dict[str, NDArray[np.int64]]:
    """The images of each split as they lie in its shards: of training in random order."""
    order = dict(vars(splitting.split))
    order["train"] = np.random.Generator(np.random.PCG64(seed)).permutation(order["train"])
    return order


def pack_name(images: ImageSet, splitting: Splitting, settings: SplitSettings, size: int) -> str:
    """What packing these images with shards of so many bytes would be called."""
    return name_of(images, shard_order(splitting, settings.split_seed), (asdict(settings), size))


def bytes_to_write(images: ImageSet) -> int:
    """About how many bytes the shards will have."""
    return images.pixels.nbytes + (images.masks.nbytes if images.masks is not None else 0)


def pack_images(
    images: ImageSet,
    splitting: Splitting,
    settings: SplitSettings,
    folder: Path,
    *,
    shard_bytes: int,
) -> Manifest:
    """Write the shards of all splits, and what is known of the images, into an empty folder.

    Args:
        images: decoded to squares.
        splitting: of them.
        settings: what that was drawn with.
        folder: there is nothing in it.
        shard_bytes: of a shard, at most; one image is in it in any case.

    Returns:
        What has to be written as ``packed.json`` when everything else is in its place.

    Raises:
        ArgumentError: litdata is not installed.
        OSError: the disk is full, say.
    """
    order = shard_order(splitting, settings.split_seed)
    layout = _layout(images, folder)
    shard_size = max(1, shard_bytes // layout.item_bytes)
    shards = {
        split: _write_shards(images, rows, folder, split, shard_size)
        for split, rows in order.items()
    }
    write_beside(folder, images, splitting, order)
    side = images.pixels.shape[1]
    mean, std = channel_statistics(images.moments[splitting.split.train], side**2)
    masks_root = images.index.masks_root
    return Manifest(
        pack=pack_name(images, splitting, settings, shard_bytes),
        root=str(images.index.root.absolute()),
        masks_root=None if masks_root is None else str(masks_root.absolute()),
        classes=list(images.classes),
        images={split: len(rows) for split, rows in order.items()},
        working_size=side,
        resize=images.resize,
        mean=mean,
        std=std,
        split=asdict(settings) if splitting.drawn else None,
        layout=asdict(layout),
        shards=shards,
    )


def _writer(folder: Path, shard_size: int) -> Any:  # noqa: ANN401 - litdata has no types
    with litdata_wanted("output", folder):
        from litdata.streaming.writer import BinaryWriter

    return BinaryWriter(str(folder), chunk_size=shard_size)


def _layout(images: ImageSet, folder: Path) -> Layout:
    """Where litdata puts the parts of an item, found in one that has nothing twice."""
    side = images.pixels.shape[1]
    noise = np.random.Generator(np.random.PCG64(0))
    image = noise.integers(0, 256, (side, side, 3), dtype=np.uint8)
    mask = None if images.masks is None else image[:, :, 0].copy()
    content, _ = _writer(folder, 1).serialize(_item(image, mask, 0, 0))
    return Layout(
        item_bytes=len(content),
        image=content.index(image.tobytes()),
        mask=None if mask is None else content.index(mask.tobytes()),
    )


def _item(
    image: NDArray[np.uint8], mask: NDArray[np.uint8] | None, label: int, row: int
) -> dict[str, Any]:
    """What litdata gives to whoever reads the shards by other means."""
    item: dict[str, Any] = {"image": image, "label": label, "row": row}
    return item if mask is None else {**item, "mask": mask}


def _write_shards(
    images: ImageSet, rows: NDArray[np.int64], folder: Path, split: str, shard_size: int
) -> list[tuple[str, int]]:
    """Write the images of a split; returns the names of its shards and how many each has."""
    if not len(rows):
        return []
    writer = _writer(folder / split, shard_size)
    parts = [rows[start : start + _READ] for start in range(0, len(rows), _READ)]
    number = 0
    for part in track(parts, f"Packing {split}", total=len(rows), step=_READ):
        masks = [None] * len(part) if images.masks is None else images.masks[part]
        for row, image, mask in zip(part.tolist(), images.pixels[part], masks, strict=True):
            writer.add_item(number, _item(image, mask, int(images.labels[row]), row))
            number += 1
    writer.done()
    writer.merge()
    full, rest = divmod(len(rows), shard_size)
    counts = [shard_size] * full + [rest] * (rest > 0)
    return [(f"{split}/chunk-0-{n}.bin", count) for n, count in enumerate(counts)]
