"""Which pictures are explained, and what is known of each."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fishcnn.commands.evaluate.labelled import split_of_run
from fishcnn.commands.image_paths import image_paths
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.decoding.decode import Decoded, decode
from fishcnn.data.decoding.resize import resize
from fishcnn.data.image_index import mask_path
from fishcnn.data.sources import Folders
from fishcnn.data.splitting.sampling import stratified_sample
from fishcnn.utils.errors import FishError
from fishcnn.utils.text import printable

BATCH = 32


@dataclass(frozen=True)
class Picture:
    """A picture before it is opened.

    Attributes:
        path: of the file.
        label: its true class, or None where nobody knows it.
        mask: the mask of its fish, or None.
    """

    path: str
    label: int | None
    mask: Path | None


@dataclass(frozen=True)
class Batch:
    """Some pictures; n of these N can be read.

    Attributes:
        pictures: all N.
        reasons: N times why it cannot be read, or None.
        images: float32 ``(n, 3, S, S)`` in [0, 1]; None without any.
        masks: n times float32 ``(S, S)``, the share of fish in each pixel, or None.
    """

    pictures: Sequence[Picture]
    reasons: Sequence[str | None]
    images: Tensor | None
    masks: Sequence[Tensor | None]


def check_same_pictures(datamodule: FishDataModule, classes: Sequence[str], run: Path) -> None:
    """Check that the validation pictures are those of the run.

    Raises:
        FishError: the folder has changed.
    """
    try:
        split_of_run(datamodule, "val", classes, run)
    except FishError as error:
        # Here it is another setting that names pictures.
        text = str(error).removeprefix("side=val: ").replace("data_root=", "input=")
        raise FishError(text) from error


def validation_sample(datamodule: FishDataModule, size: int, seed: int) -> list[int]:
    """Choose validation pictures of as many different classes as possible.

    Returns:
        Positions within the validation side; a smaller sample is the beginning of a larger one.
    """
    labels = datamodule.images.labels[datamodule.split.val]
    return stratified_sample(labels, size=size, seed=seed)


def validation_pictures(datamodule: FishDataModule, positions: Sequence[int]) -> list[Picture]:
    """Take pictures of the validation side by their positions in it."""
    folders = datamodule.source.folders()
    chosen = []
    for row in datamodule.split.val[list(positions)].tolist():
        path = datamodule.images.paths[row]
        label = int(datamodule.images.labels[row])
        mask = mask_path(folders.masks_root, path)
        chosen.append(Picture(str(folders.root / path), label, mask))
    return chosen


def typed_pictures(
    typed: str, classes: Sequence[str], folders: Folders | None
) -> Iterator[Picture]:
    """List the pictures that ``input=`` means.

    The true class is known where the folder around a picture is called like a class; the mask,
    where the picture belongs to the data of the run.

    Args:
        typed: as :func:`fishcnn.commands.image_paths.image_paths` takes it.
        classes: names, in the order of the labels.
        folders: of the run's data, or None.

    Raises:
        FishError: there is no such file.
    """
    known = {name: label for label, name in enumerate(classes)}
    root = folders.root.resolve() if folders and folders.masks_root else None
    for path in image_paths(typed):
        full = Path(os.path.abspath(path))
        mask = None
        if root and folders and full.resolve().is_relative_to(root):
            mask = mask_path(folders.masks_root, full.resolve().relative_to(root))
        mask = mask if mask and mask.is_file() else None
        yield Picture(path, known.get(printable(full.parent.name)), mask)


def load_batches(
    pictures: Iterator[Picture], *, working_size: int, image_size: int
) -> Iterator[Batch]:
    """Decode pictures as those of the training were, a batch at a time, on all cores.

    Args:
        pictures: any number; taken as they are needed.
        working_size: side to which they are decoded.
        image_size: side S of what the network sees.

    Raises:
        FishError: a mask cannot be read, or does not belong to its picture.
    """

    def read(picture: Picture) -> Decoded | str:
        return decode(Path(picture.path), picture.mask, side=working_size)[1]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while chunk := list(islice(pictures, BATCH)):
            decoded = list(pool.map(read, chunk))
            good = [one for one in decoded if isinstance(one, Decoded)]
            images = None
            if good:
                images = resize(torch.from_numpy(np.stack([one.image for one in good])), image_size)
            yield Batch(
                chunk,
                [one if isinstance(one, str) else None for one in decoded],
                images,
                [_covered(one, image_size) for one in good],
            )


def _covered(decoded: Decoded, size: int) -> Tensor | None:
    """The share of fish in each pixel, as validation has it."""
    if decoded.mask is None:
        return None
    mask = torch.from_numpy(decoded.mask)[None, None].float() / 255
    return F.interpolate(mask, (size, size), mode="bilinear", antialias=True)[0, 0]
