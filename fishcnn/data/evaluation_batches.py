"""Which images one of several processes measures."""

import math
from collections.abc import Iterator
from typing import Any, cast

from torch.utils.data import DistributedSampler


class EvaluationBatches(DistributedSampler[list[int]]):
    """The batches of one process, each of which is one that a single process would have.

    All images come once: nothing is added to even out the processes. So what they measure together
    is what one process measures. All have as many batches, as they exchange something at each; the
    last one of some is empty. That it is a DistributedSampler keeps Lightning from putting one
    around it.

    Args:
        images: how many there are.
        batch_size: images of a batch.
        rank: number of this process, from 0.
        processes: that measure together.
    """

    def __init__(self, images: int, batch_size: int, *, rank: int = 0, processes: int = 1) -> None:
        super().__init__(cast(Any, range(images)), num_replicas=processes, rank=rank)
        self.images = images
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Batches of this process, which are as many in every other one."""
        return math.ceil(math.ceil(self.images / self.batch_size) / self.num_replicas)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield positions within the split."""
        for step in range(len(self)):
            first = (step * self.num_replicas + self.rank) * self.batch_size
            yield list(range(first, min(first + self.batch_size, self.images)))
