"""Which images are explained, what is known of each, and how they are decoded."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fishcnn.commands.image_paths import image_paths
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.decoding.decode import Decoded, decode, in_order
from fishcnn.data.decoding.resize import Square, resize
from fishcnn.data.image_index import mask_path
from fishcnn.data.sources import Folders
from fishcnn.data.splitting.sampling import stratified_sample
from fishcnn.utils.machine import usable_cpus
from fishcnn.utils.text import find_name, printable

BATCH = 32


@dataclass(frozen=True)
class ImageFile:
    """An image before it is opened, with its true class and its mask where they are known."""

    path: str
    label: int | None
    mask: Path | None


def validation_sample(datamodule: FishDataModule, size: int, seed: int) -> list[int]:
    """Choose positions in the validation split, of as many different classes as possible.

    A smaller sample is the beginning of a larger one.
    """
    labels = datamodule.images.labels[datamodule.split.val]
    return stratified_sample(labels, size=size, seed=seed)


def sampled_files(datamodule: FishDataModule, positions: Sequence[int]) -> list[ImageFile]:
    """Take images of the validation split by their positions in it."""
    folders = datamodule.source.folders()
    rows = datamodule.split.val[list(positions)]
    labels = datamodule.images.labels[rows].tolist()
    paths = [datamodule.images.paths[row] for row in rows]
    return [
        ImageFile(str(folders.root / path), label, mask_path(folders.masks_root, path))
        for path, label in zip(paths, labels, strict=True)
    ]


def typed_files(typed: str, classes: Sequence[str], folders: Folders | None) -> Iterator[ImageFile]:
    """List the images that ``input=`` means.

    The true class is known where the folder around an image is called like a class; the mask, where
    the image belongs to the data of the run.

    Raises:
        FishError: there is no such file.
    """
    root = folders.root.resolve() if folders and folders.masks_root else None
    for path in image_paths(typed):
        full = Path(os.path.abspath(path))
        mask = None
        if root and folders and full.resolve().is_relative_to(root):
            mask = mask_path(folders.masks_root, full.resolve().relative_to(root))
        mask = mask if mask and mask.is_file() else None
        yield ImageFile(path, find_name(printable(full.parent.name), classes), mask)


def decode_batches(
    files: Iterator[ImageFile], square: Square
) -> Iterator[list[tuple[ImageFile, Decoded | str]]]:
    """Decode images as those of the training were, 32 at a time, on all cores.

    Yields:
        Each file, and its image or the reason why that cannot be read.

    Raises:
        FishError: a mask cannot be read, or does not belong to its image.
    """

    def read(file: ImageFile) -> tuple[ImageFile, Decoded | str]:
        return file, decode(Path(file.path), file.mask, square=square)[1]

    decoded = in_order(read, files, workers=usable_cpus())
    while batch := list(islice(decoded, BATCH)):
        yield batch


def as_validated(decoded: Sequence[Decoded], size: int) -> tuple[Tensor, list[Tensor | None]]:
    """Resize N ≥ 1 images, and their masks, to the side S as validation does.

    Returns:
        float32 ``(N, 3, S, S)`` in [0, 1], and N times the share of fish in each pixel, float32
        ``(S, S)``, or None without a mask.
    """
    images = resize(torch.from_numpy(np.stack([one.image for one in decoded])), size)
    masks: list[Tensor | None] = []
    for one in decoded:
        if one.mask is None:
            masks.append(None)
            continue
        mask = torch.from_numpy(one.mask)[None, None].float() / 255
        masks.append(F.interpolate(mask, (size, size), mode="bilinear", antialias=True)[0, 0])
    return images, masks
