"""One split of the images: positions in, transformed batches out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NotRequired, TypedDict, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from fishcnn.data.augmentation.augment import Augment
from fishcnn.data.augmentation.draws import Draws, Share
from fishcnn.data.augmentation.mixing import mix
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.decoding.resize import resize


class RawBatch(TypedDict):
    """Images as they lie in memory; or only which, where they are on the device already.

    Keys:
        split: ``"train"``, ``"val"`` or ``"test"``: whose transform is to be applied.
        index: int64 ``(N,)``, position in the whole image set.
        share: whose random numbers these are, in the batches of a training; those of torch's
            global generator without it.
        image: uint8 ``(N, S, S, 3)``.
        aspect: float32 ``(N,)``, width / height of what fills the square: of the originals where
            they were squashed, else 1.
        label: int64 ``(N,)``.
        mask: uint8 ``(N, S, S)``, 255 on the fish; only where the data has masks and only outside
            training.
    """

    split: str
    index: Tensor
    share: NotRequired[Share]
    image: NotRequired[Tensor]
    aspect: NotRequired[Tensor]
    label: NotRequired[Tensor]
    mask: NotRequired[Tensor]


class Batch(TypedDict):
    """What the network is trained and measured on.

    Keys:
        image: float32 ``(N, 3, H, W)`` in [0, 1].
        label: int64 ``(N,)``.
        target: float32 ``(N, K)``, one-hot or mixed.
        index: int64 ``(N,)``, position in the whole image set.
        share: of the images that are trained on, which part of a batch they are.
        mask: float32 ``(N, H, W)`` in [0, 1], the share of fish in each pixel; as in
            :class:`RawBatch`.
    """

    image: Tensor
    label: Tensor
    target: Tensor
    index: Tensor
    share: NotRequired[Share]
    mask: NotRequired[Tensor]


Transform = Callable[[RawBatch], Batch]


def evaluation_transform(batch: RawBatch, *, size: int, num_classes: int) -> Batch:
    """Resize to size x size pixels, and nothing else: for validation, test and prediction."""
    result = Batch(
        image=resize(batch["image"], size),
        label=batch["label"],
        target=F.one_hot(batch["label"], num_classes).float(),
        index=batch["index"],
    )
    if "mask" in batch:
        masks = batch["mask"].unsqueeze(1).float() / 255
        result["mask"] = F.interpolate(masks, (size, size), mode="bilinear", antialias=True)[:, 0]
    return result


def training_transform(batch: RawBatch, *, augment: Augment, num_classes: int) -> Batch:
    """Augment, then mix images where the recipe says so, on the device where the batch is."""
    target = F.one_hot(batch["label"], num_classes).float()
    draws = Draws(len(target), target.device, batch.get("share"))
    images = augment(batch["image"], batch["aspect"], draws)
    images, target = mix(images, target, augment.recipe, draws)
    result = Batch(image=images, label=batch["label"], target=target, index=batch["index"])
    if "share" in batch:
        result["share"] = batch["share"]
    return result


class Rows(NamedTuple):
    """The rows of a training batch that one process has.

    Attributes:
        positions: int64 ``(N,)``, within the split.
        share: which part of the batch they are.
    """

    positions: Tensor
    share: Share


@dataclass(eq=False, repr=False)
class FishDataset(Dataset[RawBatch]):
    """One split, with the transform that belongs to it.

    A batch is gathered at once; ``transform`` is applied after the batch has reached its device.
    """

    split: str  # "train", "val" or "test"
    images: ImageSet  # of all splits
    indices: Tensor  # int64 (n,), which images belong to this split
    transform: Transform  # of a RawBatch that has its images

    @property
    def with_masks(self) -> bool:
        """Whether batches have masks: never in training."""
        return self.split != "train" and self.images.masks is not None

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, rows: Rows | Sequence[int]) -> RawBatch:
        """Gather positions of this split; without the images where the device gathers these."""
        positions = (
            rows.positions if isinstance(rows, Rows) else torch.tensor(rows, dtype=torch.int64)
        )
        index = self.indices[positions]
        batch = RawBatch(split=self.split, index=index)
        if isinstance(rows, Rows):
            batch["share"] = rows.share
        if self.with_masks:
            batch["mask"] = self.images.gather_masks(index)
        return batch if self.images.device else self.complete(batch)

    def complete(self, batch: RawBatch) -> RawBatch:
        """Add the images, where the index is, to a batch that may have none yet."""
        if "image" in batch:
            return batch
        return cast(RawBatch, batch | self.images.gather(batch["index"]))
