"""Which images one of several processes measures."""

import math
from collections.abc import Iterator

from torch.utils.data import Sampler


class EvaluationBatches(Sampler[list[int]]):
    """The batches of one process, each of which is one that a single process would have.

    All images come once: nothing is added to even out the processes. So what they measure together
    is what one process measures. All have as many batches, as they exchange something at each; the
    last one of some is empty.

    Args:
        images: how many there are.
        batch_size: images of a batch.
        rank: number of this process, from 0.
        processes: that measure together.
    """

    def __init__(self, images: int, batch_size: int, *, rank: int = 0, processes: int = 1) -> None:
        self.images = images
        self.batch_size = batch_size
        self.rank = rank
        self.processes = processes

    def __len__(self) -> int:
        """Batches of this process, which are as many in every other one."""
        return math.ceil(math.ceil(self.images / self.batch_size) / self.processes)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield positions within the split."""
        for step in range(len(self)):
            first = (step * self.processes + self.rank) * self.batch_size
            yield list(range(first, min(first + self.batch_size, self.images)))
