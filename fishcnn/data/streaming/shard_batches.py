"""The order in which packed training images come: shards in random order, some of them mixed."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fishcnn.data.augmentation.draws import seed_of
from fishcnn.data.datasets import FishDataset
from fishcnn.data.loaders import TrainingBatches
from fishcnn.data.streaming.packed_images import PackedImages


class ShardBatches(TrainingBatches):
    """The batches of each epoch, of which only some shards are read at a time.

    Where all shards are in one window, they are those of :class:`TrainingBatches`.

    Args:
        split: whose images are trained on.
        batch_size: images of a batch in each process.
        packed: whose training split that is.
        window: shards that are shuffled together.
        settings: as of :class:`TrainingBatches`.
    """

    def __init__(
        self,
        split: FishDataset,
        batch_size: int,
        *,
        packed: PackedImages,
        window: int,
        **settings: Any,
    ) -> None:
        super().__init__(split, batch_size, **settings)
        self.packed = packed
        self.window = window

    def order(self, epoch: int) -> Tensor:
        """Positions within the split, int64 ``(n,)``, as they come in an epoch."""
        packed, count = self.packed, self.packed.train_shards
        if count <= self.window:
            packed.shards.expect(range(count), self.window)
            return super().order(epoch)
        generator = torch.Generator().manual_seed(seed_of("shards", self.seed, epoch))
        shards = torch.randperm(count, generator=generator).tolist()
        # Those of the next window are fetched while this one is read.
        packed.shards.expect(shards, self.window)
        ends = np.cumsum([shard.items for shard in packed.shards.shards[:count]])[:-1]
        positions = np.split(packed.train_positions, ends)
        windows = []
        for start in range(0, count, self.window):
            mixed = np.concatenate([positions[one] for one in shards[start : start + self.window]])
            windows.append(torch.from_numpy(mixed)[torch.randperm(len(mixed), generator=generator)])
        return torch.cat(windows)
