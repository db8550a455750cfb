"""The LightningDataModule: from a source of pictures to loaders for each side."""

from typing import Any

import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from fishcnn.data.augmentation.augment import Augment
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.datasets import (
    Batch,
    EvalTransform,
    FishDataset,
    RawBatch,
    TrainTransform,
    Transform,
)
from fishcnn.data.pictures import Pictures, check_enough, load_pictures
from fishcnn.data.scan import Listing, scan_folder
from fishcnn.data.sources import Source
from fishcnn.data.split import Split, split_from_sides, stratified_split
from fishcnn.errors import FishError

# RGB mean and standard deviation of pictures in [0, 1], as commonly published for the training
# sides of CIFAR-10 and ImageNet.
STATISTICS: dict[str, tuple[list[float], list[float]]] = {
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}


def channel_statistics(images: Tensor) -> tuple[list[float], list[float]]:
    """RGB mean and standard deviation over all pixels.

    Args:
        images: uint8 ``(N, S, S, 3)``.

    Returns:
        Mean and standard deviation for pictures in [0, 1], three numbers each.
    """
    levels = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in range(3):
        counts = torch.zeros(256, dtype=torch.float64)
        for chunk in torch.split(images[..., channel], 256):  # bincount makes int64 copies
            counts += torch.bincount(chunk.flatten(), minlength=256)
        share = counts / counts.sum()
        mean = (share * levels).sum()
        means.append(mean.item())
        # A constant colour would otherwise be divided by zero.
        stds.append(max((share * (levels - mean) ** 2).sum().sqrt().item(), 1 / 255))
    return means, stds


class FishDataModule(pl.LightningDataModule):
    """Decodes a folder of pictures once, splits it, and serves augmented batches.

    Args:
        source: where the pictures come from.
        recipe: the augmentation of the training side; no other side is ever augmented.
        image_size: side in pixels of what the network sees.
        working_size: side in pixels at which decoded pictures are kept; a little larger, so that a
            crop still has ``image_size`` pixels.
        batch_size: pictures a batch.
        val_fraction: share of each class that is held out, where the folder is not split already.
        split_seed: seed of that split; independent of the seed of the training.
        normalize: ``"dataset"`` (statistics of the training side), ``"cifar10"`` or
            ``"imagenet"``.
        workers: threads that decode.

    Attributes:
        listing, pictures, split: after :meth:`setup`.
        mean, std: RGB statistics for the network, three numbers each, after :meth:`setup`.
        datasets: the sides by name, each with its own transform, after :meth:`setup`.

    Raises:
        FishError: a setting is out of range; the message names it.
    """

    listing: Listing
    pictures: Pictures
    split: Split
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
        val_fraction: float,
        split_seed: int,
        normalize: str,
        workers: int,
    ) -> None:
        super().__init__()
        if batch_size < 2:
            raise FishError(f"data.batch_size={batch_size}: batch norm needs 2 or more")
        if image_size < 1 or working_size < image_size:
            raise FishError(
                f"data.working_size={working_size}: wanted at least data.image_size={image_size}"
            )
        if split_seed < 0:
            raise FishError(f"data.split_seed={split_seed}: wanted 0 or more")
        if normalize != "dataset" and normalize not in STATISTICS:
            raise FishError(
                f"data.normalize={normalize}: there is dataset, {', '.join(STATISTICS)}"
            )
        self.source = source
        self.recipe = recipe
        self.image_size = image_size
        self.working_size = working_size
        self.batch_size = batch_size
        self.val_fraction = val_fraction
        self.split_seed = split_seed
        self.normalize = normalize
        self.workers = workers

    def prepare_data(self) -> None:
        """Download or draw the pictures; Lightning calls this in one process only."""
        self.source.folders()

    def setup(self, stage: str | None = None) -> None:
        """Scan, decode and split, once."""
        if hasattr(self, "datasets"):
            return
        folders = self.source.folders()
        self.listing = scan_folder(folders.root)
        self.pictures = load_pictures(
            self.listing,
            working_size=self.working_size,
            masks_root=folders.masks_root,
            workers=self.workers,
        )
        check_enough(self.pictures, self.listing)
        if self.pictures.sides is not None:
            self.split = split_from_sides(self.pictures.sides)
            if not len(self.split.val):
                raise FishError(f"there is no readable picture for validation in {folders.root}")
        else:
            self.split = stratified_split(
                self.pictures.labels, val_fraction=self.val_fraction, seed=self.split_seed
            )
        images = torch.from_numpy(self.pictures.images)
        if self.normalize == "dataset":
            train_images = images[torch.from_numpy(self.split.train)]
            self.mean, self.std = channel_statistics(train_images)
        else:
            self.mean, self.std = STATISTICS[self.normalize]
        self.datasets = self._build_datasets(images)

    def _build_datasets(self, images: Tensor) -> dict[str, FishDataset]:
        num_classes = len(self.pictures.classes)
        red, green, blue = self.mean
        augment = Augment(self.recipe, size=self.image_size, fill=(red, green, blue))
        aspect = torch.from_numpy(self.pictures.aspect)
        labels = torch.from_numpy(self.pictures.labels)
        masks = None if self.pictures.masks is None else torch.from_numpy(self.pictures.masks)

        def side(name: str, indices: NDArray[Any], transform: Transform) -> FishDataset:
            return FishDataset(
                side=name,
                images=images,
                aspect=aspect,
                labels=labels,
                indices=torch.from_numpy(indices),
                masks=None if name == "train" else masks,
                transform=transform,
            )

        evaluate = EvalTransform(size=self.image_size, num_classes=num_classes)
        return {
            "train": side(
                "train", self.split.train, TrainTransform(augment, num_classes=num_classes)
            ),
            "val": side("val", self.split.val, evaluate),
            "test": side("test", self.split.test, evaluate),
        }

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the labels."""
        return list(self.pictures.classes)

    def on_after_batch_transfer(self, batch: RawBatch, dataloader_idx: int) -> Batch:
        """Apply the transform of the side that the batch comes from, on its device."""
        return self.datasets[batch["side"]].transform(batch)

    def batch(self, side: str, positions: list[int], device: torch.device) -> Batch:
        """Transformed pictures of one side; ``positions`` count within that side."""
        raw = self.datasets[side].__getitems__(positions)
        moved = self.transfer_batch_to_device(raw, device, 0)
        return self.on_after_batch_transfer(moved, 0)

    def _loader(self, side: str) -> DataLoader[RawBatch]:
        dataset = self.datasets[side]
        train = side == "train"
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            shuffle=train,
            # Batch norm cannot learn from a single picture.
            drop_last=train and len(dataset) > 1 and len(dataset) % self.batch_size == 1,
            # The dataset gathers whole batches: there is nothing to collate.
            collate_fn=_as_it_is,
            pin_memory=torch.cuda.is_available(),
        )

    def train_dataloader(self) -> DataLoader[RawBatch]:
        """Shuffled batches of the training side."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[RawBatch]:
        """Batches of the validation side, always in the same order."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[RawBatch]:
        """Batches of the test side, always in the same order."""
        return self._loader("test")


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401 - DataLoader calls it a list of samples
    return batch
