"""One side of the split: pictures in, transformed batches out."""

from collections.abc import Callable, Sequence
from typing import NotRequired, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from fishcnn.data.augmentation.augment import Augment, resize
from fishcnn.data.augmentation.mixing import mix


class RawBatch(TypedDict):
    """Pictures as they lie in memory.

    Keys:
        side: ``"train"``, ``"val"`` or ``"test"``: whose transform is to be applied.
        image: uint8 ``(N, S, S, 3)``.
        aspect: float32 ``(N,)``, width / height of the originals.
        label: int64 ``(N,)``.
        index: int64 ``(N,)``, position in the whole collection.
        mask: uint8 ``(N, S, S)``, 255 on the fish; only where the data has masks and only outside
            training.
    """

    side: str
    image: Tensor
    aspect: Tensor
    label: Tensor
    index: Tensor
    mask: NotRequired[Tensor]


class Batch(TypedDict):
    """What the network is trained and measured on.

    Keys:
        image: float32 ``(N, 3, H, W)`` in [0, 1].
        label: int64 ``(N,)``.
        target: float32 ``(N, K)``, one-hot or mixed.
        index: int64 ``(N,)``, position in the whole collection.
        mask: float32 ``(N, H, W)`` in [0, 1], the share of fish in each pixel; as in
            :class:`RawBatch`.
    """

    image: Tensor
    label: Tensor
    target: Tensor
    index: Tensor
    mask: NotRequired[Tensor]


Transform = Callable[[RawBatch], Batch]


class EvalTransform:
    """Resize, and nothing else: for validation, test and prediction.

    Args:
        size: output side in pixels.
        num_classes: number of classes.
    """

    def __init__(self, *, size: int, num_classes: int) -> None:
        self.size = size
        self.num_classes = num_classes

    def __call__(self, batch: RawBatch) -> Batch:
        """Transform a batch on the device where it is."""
        result = Batch(
            image=resize(batch["image"], self.size),
            label=batch["label"],
            target=F.one_hot(batch["label"], self.num_classes).float(),
            index=batch["index"],
        )
        if "mask" in batch:
            masks = batch["mask"].unsqueeze(1).float() / 255
            shape = (self.size, self.size)
            result["mask"] = F.interpolate(masks, shape, mode="bilinear", antialias=True)[:, 0]
        return result


class TrainTransform:
    """Augment, then mix pictures where the recipe says so.

    Args:
        augment: the augmentation.
        num_classes: number of classes.
    """

    def __init__(self, augment: Augment, *, num_classes: int) -> None:
        self.augment = augment
        self.num_classes = num_classes

    def __call__(self, batch: RawBatch) -> Batch:
        """Transform a batch on the device where it is."""
        target = F.one_hot(batch["label"], self.num_classes).float()
        images = self.augment(batch["image"], batch["aspect"])
        images, target = mix(images, target, self.augment.recipe)
        return Batch(image=images, label=batch["label"], target=target, index=batch["index"])


class FishDataset(Dataset[RawBatch]):
    """One side of the split, with the transform that belongs to it.

    A batch is gathered at once; ``transform`` is applied after the batch has reached its device.

    Args:
        side: ``"train"``, ``"val"`` or ``"test"``.
        images: uint8 ``(M, S, S, 3)``, the whole collection; shared between the sides.
        aspect: float32 ``(M,)``.
        labels: int64 ``(M,)``.
        indices: int64 ``(n,)``, which pictures belong to this side.
        masks: uint8 ``(M, S, S)``, or None to leave masks out.
        transform: makes a :class:`Batch` of a :class:`RawBatch`.
    """

    def __init__(
        self,
        *,
        side: str,
        images: Tensor,
        aspect: Tensor,
        labels: Tensor,
        indices: Tensor,
        masks: Tensor | None,
        transform: Transform,
    ) -> None:
        self.side = side
        self.images = images
        self.aspect = aspect
        self.labels = labels
        self.indices = indices
        self.masks = masks
        self.transform = transform

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, positions: Sequence[int]) -> RawBatch:
        """Gather a batch; ``positions`` count within this side."""
        index = self.indices[torch.as_tensor(positions)]
        batch = RawBatch(
            side=self.side,
            image=self.images[index],
            aspect=self.aspect[index],
            label=self.labels[index],
            index=index,
        )
        if self.masks is not None:
            batch["mask"] = self.masks[index]
        return batch
