"""The LightningDataModule: from a source of pictures to loaders for each split."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, WeightedRandomSampler

from fishcnn.data.augmentation.augment import Augment
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.collection import Collection
from fishcnn.data.datasets import (
    Batch,
    EvalTransform,
    FishDataset,
    IndexBatch,
    RawBatch,
    TrainTransform,
    Transform,
)
from fishcnn.data.decoding.image_set import ImageSet, check_enough, load_images
from fishcnn.data.image_folder import ImageIndex, scan_folder
from fishcnn.data.sources import Source
from fishcnn.data.splitting.grouped_split import Splitting, split_images
from fishcnn.data.splitting.split import Split
from fishcnn.data.splitting.split_settings import SplitSettings
from fishcnn.utils.errors import FishError
from fishcnn.utils.text import printable

# RGB mean and standard deviation of pictures in [0, 1], as commonly published for the training
# splits of CIFAR-10 and ImageNet.
STATISTICS: dict[str, tuple[list[float], list[float]]] = {
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}


BALANCES = ("none", "sampler", "loss")
CACHES = ("disk", "ram", "none")


def channel_statistics(moments: NDArray[np.int64], pixels: int) -> tuple[list[float], list[float]]:
    """RGB mean and standard deviation over all pixels of some pictures.

    Args:
        moments: int64 ``(n, 2, 3)``, sum and sum of squares of each channel of each picture.
        pixels: of one picture.

    Returns:
        Mean and standard deviation for pictures in [0, 1], three numbers each.
    """
    first, second = moments.sum(axis=0) / (len(moments) * pixels)
    variance = np.maximum(second - first**2, 1)  # a constant colour would be divided by zero
    return (first / 255).tolist(), (np.sqrt(variance) / 255).tolist()


class FishDataModule(pl.LightningDataModule):
    """Decodes a folder of pictures once, splits it, and serves augmented batches.

    Args:
        source: where the pictures come from.
        recipe: the augmentation of the training split; no other split is ever augmented.
        image_size: side in pixels of what the network sees.
        working_size: side in pixels at which decoded pictures are kept; a little larger, so that a
            crop still has ``image_size`` pixels.
        batch_size: pictures a batch.
        split: how pictures are held out, where the folder is not split already.
        normalize: ``"dataset"`` (statistics of the training split), ``"cifar10"`` or
            ``"imagenet"``.
        balance: against rare classes that are learnt last: ``"sampler"`` draws every class equally
            often, ``"loss"`` weighs their pictures, ``"none"`` does nothing.
        cache: where decoded pictures are kept: ``"disk"``, ``"ram"`` or ``"none"``.
        cache_root: folder of the cache on disk.
        on_device: whether the pictures are copied to the device of the network, so that a batch is
            an index; None for where that is a GPU with room for them.
        workers: threads that decode.

    Attributes:
        index, images, splitting: after :meth:`setup`.
        mean, std: RGB statistics for the network, three numbers each, after :meth:`setup`.
        datasets: the splits by name, each with its own transform, after :meth:`setup`.

    Raises:
        FishError: a setting is out of range; the message names it.
    """

    index: ImageIndex
    images: ImageSet
    splitting: Splitting
    collection: Collection
    mean: list[float]
    std: list[float]
    datasets: dict[str, FishDataset]

    def __init__(
        self,
        *,
        source: Source,
        recipe: Recipe,
        image_size: int,
        working_size: int,
        batch_size: int,
        split: SplitSettings,
        normalize: str,
        balance: str,
        cache: str,
        cache_root: Path,
        on_device: bool | None,
        workers: int,
    ) -> None:
        super().__init__()
        if batch_size < 2:
            raise FishError(f"data.batch_size={batch_size}: batch norm needs 2 or more")
        if image_size < 1 or working_size < image_size:
            raise FishError(
                f"data.working_size={working_size}: wanted at least data.image_size={image_size}"
            )
        split.check()
        _check_choice("normalize", normalize, ("dataset", *STATISTICS))
        _check_choice("balance", balance, BALANCES)
        _check_choice("cache", cache, CACHES)
        if on_device and cache == "none":
            raise FishError(
                "data.on_device=true needs decoded pictures: add data.cache=disk or data.cache=ram"
            )
        self.source = source
        self.recipe = recipe
        self.image_size = image_size
        self.working_size = working_size
        self.batch_size = batch_size
        self.split_settings = split
        self.normalize = normalize
        self.balance = balance
        self.cache = cache
        self.cache_root = cache_root
        self.on_device = on_device
        self.workers = workers

    @classmethod
    def configured(cls, *overrides: str) -> "FishDataModule":
        """Build one from the defaults in ``conf/``, as ``scripts/train.py`` does.

        Args:
            overrides: as they are typed there, for example ``"data=folder"``,
                ``"data.root=pictures"``.

        Raises:
            FishError: a setting is out of range.
        """
        # Only here: the parts of a run are built from the configuration, not the other way round.
        from fishcnn.commands.build import build_datamodule, compose_config

        return build_datamodule(compose_config(*overrides))

    def prepare_data(self) -> None:
        """Download or draw the pictures; Lightning calls this in one process only."""
        self.source.folders()

    def setup(self, stage: str | None = None) -> None:
        """Scan, decode and split, once."""
        if hasattr(self, "datasets"):
            return
        folders = self.source.folders()
        self.index = scan_folder(folders.root)
        self.images = load_images(
            self.index,
            working_size=self.working_size,
            masks_root=folders.masks_root,
            workers=self.workers,
            cache=self.cache,
            cache_root=self.cache_root,
        )
        check_enough(self.images, self.index)
        self.splitting = split_images(self.images, self.split_settings)
        if not len(self.split.val):
            raise FishError(f"there is no readable picture for validation in {folders.root}")
        if self.normalize == "dataset":
            moments = self.images.moments[self.split.train]
            self.mean, self.std = channel_statistics(moments, self.working_size**2)
        else:
            self.mean, self.std = STATISTICS[self.normalize]
        self.collection = Collection(self.images)
        self.datasets = self._build_datasets()

    def _build_datasets(self) -> dict[str, FishDataset]:
        num_classes = len(self.images.classes)
        red, green, blue = self.mean
        augment = Augment(self.recipe, size=self.image_size, fill=(red, green, blue))
        train = TrainTransform(augment, num_classes=num_classes)
        evaluate = EvalTransform(size=self.image_size, num_classes=num_classes)
        splits: dict[str, tuple[NDArray[np.int64], Transform]] = {
            "train": (self.split.train, train),
            "val": (self.split.val, evaluate),
            "test": (self.split.test, evaluate),
        }
        return {
            split: FishDataset(
                split=split,
                collection=self.collection,
                indices=torch.from_numpy(indices),
                with_masks=split != "train" and self.collection.has_masks,
                transform=transform,
            )
            for split, (indices, transform) in splits.items()
        }

    @property
    def split(self) -> Split:
        """Which picture is on which split."""
        return self.splitting.split

    @property
    def class_weights(self) -> list[float] | None:
        """What a picture of each class counts in the loss: 1 on average over the training split.

        None where ``balance`` leaves the loss alone.
        """
        if self.balance != "loss":
            return None
        counts = self._train_counts()
        weights: list[float] = (
            counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
        ).tolist()
        return weights

    def _train_counts(self) -> NDArray[np.int64]:
        labels = self.images.labels[self.split.train]
        return np.bincount(labels, minlength=len(self.images.classes))

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the labels, as they can be written and drawn."""
        return [printable(name) for name in self.images.classes]

    def transfer_batch_to_device(
        self, batch: IndexBatch, device: torch.device, dataloader_idx: int
    ) -> RawBatch:
        """Move a batch to a device, and gather its pictures there if they did not come along."""
        moved = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return self.datasets[batch["split"]].complete(moved)

    def on_after_batch_transfer(self, batch: RawBatch, dataloader_idx: int) -> Batch:
        """Apply the transform of the split that the batch comes from, on its device."""
        return self.datasets[batch["split"]].transform(batch)

    def batch(self, split: str, positions: list[int], device: torch.device) -> Batch:
        """Transformed pictures of one split; ``positions`` count within that split."""
        dataset = self.datasets[split]
        raw = dataset.complete(dataset.__getitems__(positions))
        return self.on_after_batch_transfer(self.transfer_batch_to_device(raw, device, 0), 0)

    def _loader(self, split: str) -> DataLoader[IndexBatch]:
        dataset = self.datasets[split]
        train = split == "train"
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if self.collection.fits(device) if self.on_device is None else self.on_device:
            self.collection.keep_on(device)
        # Of this process, where several share a fit.
        share = math.ceil(len(dataset) / (self.trainer.world_size if self.trainer else 1))
        sampler = None
        if train and self.balance == "sampler":
            weights = 1 / np.maximum(self._train_counts(), 1)
            labels = self.images.labels[self.split.train]
            sampler = WeightedRandomSampler(weights[labels].tolist(), len(dataset))
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            shuffle=train and sampler is None,
            sampler=sampler,
            # Batch norm cannot learn from a single picture.
            drop_last=train and share > 1 and share % self.batch_size == 1,
            # The dataset gathers whole batches: there is nothing to collate.
            collate_fn=_as_it_is,
            pin_memory=device.type == "cuda" and self.collection.device is None,
        )

    def train_dataloader(self) -> DataLoader[IndexBatch]:
        """Shuffled batches of the training split."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[IndexBatch]:
        """Batches of the validation split, always in the same order."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[IndexBatch]:
        """Batches of the test split, always in the same order."""
        return self._loader("test")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise FishError(f"data.{name}={value}: there is {', '.join(choices)}")


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401 - DataLoader calls it a list of samples
    return batch
