"""The LightningDataModule: from a source of images to loaders for each split."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fishcnn.data.augmentation.augment import Augment
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.channel_statistics import STATISTICS, channel_statistics
from fishcnn.data.datasets import (
    FishDataset,
    Transform,
    evaluation_transform,
    training_transform,
)
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.decoding.loading import check_enough, load_images
from fishcnn.data.decoding.resize import RESIZES, SQUASH, Square
from fishcnn.data.image_folder import scan_folder
from fishcnn.data.image_index import ImageIndex
from fishcnn.data.labels import CorrectedLabels
from fishcnn.data.sources import Folders, FolderSource, Source
from fishcnn.data.split_batches import SplitBatches
from fishcnn.data.splitting.grouped_split import Splitting, check_splittable, split_images
from fishcnn.data.splitting.split import Split
from fishcnn.data.splitting.split_settings import SplitSettings
from fishcnn.utils.checks import (
    check_arguments,
    choice,
    either,
    flag,
    number,
    optional,
    path,
    several,
    whole,
)
from fishcnn.utils.errors import ArgumentError, FishError
from fishcnn.utils.machine import cache_folder, usable_cpus
from fishcnn.utils.text import printable

_SEED_RECIPE = Recipe()


def _statistics(value: object) -> str | None:
    """RGB mean and standard deviation; zero cannot be divided by."""
    deviations = value[1] if isinstance(value, list | tuple) and len(value) == 2 else None
    positive = several(number(0, 1, above=True), 3)
    return several(several(number(0, 1), 3), 2)(value) or positive(deviations)


_WANTED = {
    "labels": optional(path),
    "image_size": whole(1, 4096),
    "working_size": optional(whole(1, 4096)),
    "resize": choice(*RESIZES),
    "batch_size": whole(2),  # batch norm needs two
    "balance": choice("none", "sampler", "loss"),
    "normalize": either(choice("dataset", *STATISTICS), _statistics),
    "cache": choice("disk", "ram", "none"),
    "cache_root": optional(path),
    "on_device": optional(flag),
    "workers": optional(whole(1, 1024)),
    "seed": optional(whole(0, 2**32 - 1)),
}


class FishDataModule(SplitBatches):
    """Decodes a folder of images once, splits it, and serves augmented batches.

    Args:
        root: folder with one folder a class; or with train/ and val/ (and test/) of such folders.
        masks_root: folder with a fish mask for each image, at the same relative path with the
            suffix .png; None without masks.
        layout: ``auto``, or ``classes`` where every folder in ``root`` is a class, whatever it is
            called or holds.
        source: where the images come from instead of ``root``.
        labels: table of classes that count instead of those of the folders, or None; see
            :class:`~fishcnn.data.labels.CorrectedLabels`.
        image_size: side in pixels of what the network sees.
        working_size: side in pixels at which decoded images are kept; a little larger, so that a
            crop still has ``image_size`` pixels. None is a quarter larger.
        resize: how images become squares: ``"squash"``, ``"letterbox"`` or ``"crop"``; see
            :class:`~fishcnn.data.decoding.resize.Square`.
        batch_size: images a batch, 2 or more.
        val_fraction: share of each class for validation, 0 to 1.
        test_fraction: share of each class that neither training nor validation sees.
        folds: number of folds for cross-validation, or None.
        fold: which of them is validated on, from 0.
        split_seed: of the draw, independent of the seed of the training.
        inner_split: whether the validation split is held back like a test split, and images of the
            training split are validated on instead, to choose settings by.
        group_duplicates: whether near-duplicates are looked for and kept on one split.
        group_regex: what the file names of images that belong together have in common, or None;
            see :func:`~fishcnn.data.splitting.groups.groups_by_name`.
        balance: against rare classes that are learnt last: ``"sampler"`` draws every class equally
            often, ``"loss"`` weighs their images, ``"none"`` does nothing.
        normalize: ``"dataset"`` (statistics of the training split), ``"cifar10"``,
            ``"imagenet"``, or the RGB mean and standard deviation of images in [0, 1].
        cache: where decoded images are kept: ``"disk"`` (for the next runs as well), ``"ram"`` or
            ``"none"`` (decoded again in every epoch).
        cache_root: folder of the cache on disk; see :func:`~fishcnn.utils.machine.cache_folder`.
        on_device: whether the images are copied to the device of the network, so that a batch is
            an index; None for where that is a GPU with room for them.
        workers: threads that decode; None for one a processor.
        recipe: the augmentation of the training split; no other split is ever augmented.
        seed: of the training: the order of an epoch, augmentation, mixing and dropout are functions
            of it and of the epoch and the batch. None draws one for each fit from torch's global
            generator.

    Attributes:
        folders: where the images are, after :meth:`prepare_data` or :meth:`setup`.
        images, splitting: after :meth:`setup`.
        corrected: what the table of ``labels`` changes, after :meth:`setup` or :meth:`decode`; None
            without one.
        mean, std: RGB statistics for the network, three numbers each, after :meth:`setup`.
        datasets: the splits by name, each with its own transform, after :meth:`setup`.

    Raises:
        ArgumentError: an argument is out of range.
    """

    folders: Folders
    corrected: CorrectedLabels | None = None
    splitting: Splitting
    mean: list[float]
    std: list[float]

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        masks_root: str | Path | None = None,
        layout: str = "auto",
        source: Source | None = None,
        labels: str | Path | None = None,
        image_size: int = 128,
        working_size: int | None = None,
        resize: str = SQUASH,
        batch_size: int = 32,
        val_fraction: float = 0.2,
        test_fraction: float = 0.0,
        folds: int | None = None,
        fold: int = 0,
        split_seed: int = 0,
        inner_split: bool = False,
        group_duplicates: bool = True,
        group_regex: str | None = None,
        balance: str = "none",
        normalize: str | Sequence[Sequence[float]] = "dataset",
        cache: str = "disk",
        cache_root: str | Path | None = None,
        on_device: bool | None = None,
        workers: int | None = None,
        recipe: Recipe = _SEED_RECIPE,
        seed: int | None = None,
    ) -> None:
        super().__init__(batch_size=batch_size, on_device=on_device, seed=seed)
        if source is None:
            if root is None:
                raise ArgumentError("root", None, "name a folder of images, or give a source")
            source = FolderSource(root, masks_root, layout)
        elif root is not None or masks_root is not None:
            raise ArgumentError("source", source, "leave out root and masks_root: it has its own")
        check_arguments(locals(), _WANTED)
        if working_size is None:
            working_size = image_size * 5 // 4
        if working_size < image_size:
            problem = f"must be at least image_size, which is {image_size}"
            raise ArgumentError("working_size", working_size, problem)
        if on_device and cache == "none":
            raise ArgumentError("on_device", on_device, "needs a cache: choose disk or ram")
        self.split_settings = SplitSettings(
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            folds=folds,
            fold=fold,
            split_seed=split_seed,
            inner_split=inner_split,
            group_duplicates=group_duplicates,
            group_regex=group_regex,
        )
        self.split_settings.check()
        self.source = source
        self.labels = labels
        self.image_size = image_size
        self.working_size = working_size
        self.resize = resize
        self.balance = balance
        self.normalize = normalize
        self.cache = cache
        self.cache_root = cache_folder(cache_root) / "decoded"
        self.workers = usable_cpus() if workers is None else workers
        self.recipe = recipe

    def decode(
        self, folders: Folders, resize: str | None = None, *, quiet: bool = False
    ) -> ImageSet:
        """Scan a folder and decode its images as this datamodule does with its own.

        Args:
            folders: where they lie.
            resize: another way to bring them to a square.
            quiet: whether those that cannot be read have been named already.

        Raises:
            FishError: the folder has another layout, a mask does not fit, the disk is full, or the
                table of labels does not fit.
        """
        return self._load(self._scan(folders), resize or self.resize, quiet=quiet)

    def _scan(self, folders: Folders) -> ImageIndex:
        index = scan_folder(folders.root, folders.masks_root, layout=folders.layout)
        # Once: somebody may edit the table while a training prepares.
        if self.labels is not None and self.corrected is None:
            self.corrected = CorrectedLabels.read(self.labels, index)
        return index

    def corrected_labels(self) -> CorrectedLabels:
        """What the table of ``labels`` changes; nothing is decoded for it.

        Raises:
            FishError: the folder has another layout, or the table does not fit.
        """
        self._scan(self.source.folders())
        return self.corrected or CorrectedLabels({})

    def _load(self, index: ImageIndex, resize: str, *, quiet: bool = False) -> ImageSet:
        images = load_images(
            index,
            square=Square(self.working_size, resize),
            workers=self.workers,
            cache=self.cache,
            cache_root=self.cache_root,
            quiet=quiet,
        )
        return self.corrected.apply(images) if self.corrected else images

    def prepare_data(self) -> None:
        """Download or draw the images, once; Lightning calls this in one process only."""
        if not hasattr(self, "folders"):
            self.folders = self.source.folders()

    def setup(self, stage: str | None = None) -> None:
        """Scan, decode and split, once."""
        super().setup(stage)
        if hasattr(self, "datasets"):
            return
        self.prepare_data()
        self.images, self.splitting = self._read_images()
        images = self.images
        split = self.split
        if not len(split.val):
            raise FishError(f"no image for validation can be read in {self.place}")
        if self.normalize == "dataset":
            moments = images.moments[split.train]
            self.mean, self.std = channel_statistics(moments, self.working_size**2)
        elif isinstance(self.normalize, str):
            self.mean, self.std = STATISTICS[self.normalize]
        else:
            self.mean, self.std = map(list, self.normalize)
        red, green, blue = self.mean
        augment = Augment(self.recipe, size=self.image_size, fill=(red, green, blue))
        count = len(images.classes)
        train = partial(training_transform, augment=augment, num_classes=count)
        evaluate = partial(evaluation_transform, size=self.image_size, num_classes=count)

        transforms: dict[str, Transform] = {"train": train, "val": evaluate, "test": evaluate}
        self.datasets = {
            name: FishDataset(name, images, torch.from_numpy(getattr(split, name)), transform)
            for name, transform in transforms.items()
        }

    def _read_images(self) -> tuple[ImageSet, Splitting]:
        """Scan, decode and split."""
        index = self._scan(self.folders)
        check_splittable(index, self.split_settings)
        self.images = images = self._load(index, self.resize)
        check_enough(images)
        return images, split_images(images, self.split_settings, self.whole_images)

    @property
    def place(self) -> str:
        """Where the images are, for people."""
        return str(self.images.index.root)

    def whole_images(self) -> ImageSet:
        """All images, squashed to squares, so that nothing of them is missing.

        Near-duplicates are looked for in these, and the split is the same however they are resized.
        """
        if self.resize == SQUASH:
            return self.images
        return self.decode(self.folders, SQUASH, quiet=True)

    @property
    def split(self) -> Split:
        """Which image is in which split."""
        return self.splitting.split

    @property
    def class_weights(self) -> list[float] | None:
        """What an image of each class counts in the loss, 1 on average; None for no weights."""
        if self.balance != "loss":
            return None
        counts = self._train_counts()
        weights = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return [float(weight) for weight in weights]

    @property
    def image_weights(self) -> Tensor | None:
        """How often each training image is drawn, float ``(n,)``; None for once an epoch."""
        if self.balance != "sampler":
            return None
        weights = 1 / np.maximum(self._train_counts(), 1)
        return torch.from_numpy(weights[self.images.labels[self.split.train]])

    def _train_counts(self) -> NDArray[np.int64]:
        labels = self.images.labels[self.split.train]
        return np.bincount(labels, minlength=len(self.images.classes))

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the labels, as they can be written and drawn."""
        return [printable(name) for name in self.images.classes]
