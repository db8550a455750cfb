"""Which images make a batch, and in which order."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from fishcnn.data.augmentation.draws import Share, seed_of
from fishcnn.data.datasets import FishDataset, RawBatch, Rows
from fishcnn.data.evaluation_batches import EvaluationBatches
from fishcnn.utils.errors import FishError

# Batch norm cannot learn from a single image.
_FEWEST = 2


def steps_per_epoch(images: int, batch_size: int, processes: int = 1) -> int:
    """How many batches the training images make.

    The last ones make none of their own where they are too few for the batch norm of each process.

    Args:
        images: of the training split.
        batch_size: images of a batch in each process.
        processes: that train together.

    Raises:
        FishError: there are too few images for so many processes.
    """
    if processes > 1 and images < _FEWEST * processes:
        raise FishError(
            f"{images} training images are too few for {processes} processes: each needs {_FEWEST}"
        )
    whole, rest = divmod(images, batch_size * processes)
    return max(1, whole + (rest >= _FEWEST * processes))


class TrainingBatches(DistributedSampler[Rows]):
    """The batches of each epoch, whose order is a function of the seed and of the epoch.

    It is the same for all processes: each takes its share of every batch, as many images as the
    others, but for one in the last batch. Every image comes once in an epoch. That it is a
    DistributedSampler keeps Lightning from putting one around it.

    Args:
        split: whose images are trained on.
        batch_size: images of a batch in each process.
        seed: of the training.
        weights: how often each image is drawn in proportion to the others, float ``(n,)``; then an
            epoch has as many images, but some come several times. None for each image once.
        rank: number of this process, from 0.
        processes: that train together.
        begun: the epoch that is to go on, from 0, and how many of its images have been trained on,
            a whole number of batches.

    Raises:
        FishError: there are too few images for so many processes.
    """

    def __init__(
        self,
        split: FishDataset,
        batch_size: int,
        *,
        seed: int,
        weights: Tensor | None = None,
        rank: int = 0,
        processes: int = 1,
        begun: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__(split, num_replicas=processes, rank=rank, seed=seed)
        self.images = len(split)
        self.steps = steps_per_epoch(self.images, batch_size, processes)
        self.rows = batch_size * processes
        self.weights = weights
        self._begun = begun
        # Lightning says which epoch it is only after it has asked for the first batches of it.
        self.epoch = begun[0]

    def __len__(self) -> int:
        """Steps of a whole epoch."""
        return self.steps

    def order(self, epoch: int) -> Tensor:
        """Positions within the split, int64 ``(n,)``, as they come in an epoch."""
        generator = torch.Generator().manual_seed(seed_of("order", self.seed, epoch))
        if self.weights is None:
            return torch.randperm(self.images, generator=generator)
        return torch.multinomial(self.weights, self.images, replacement=True, generator=generator)

    def digest(self, epoch: int) -> str:
        """What the order of an epoch comes to, which no other one does."""
        return blake2b(self.order(epoch).numpy().tobytes(), digest_size=8).hexdigest()

    def __iter__(self) -> Iterator[Rows]:
        """Yield the batches of the epoch, or what is left of it."""
        epoch, (begun, done) = self.epoch, self._begun
        self._begun = (0, 0)
        order = self.order(epoch)
        for step in range(done // self.rows if epoch == begun else 0, self.steps):
            first = step * self.rows
            batch = order[first:] if step + 1 == self.steps else order[first : first + self.rows]
            rank, processes, rows = self.rank, self.num_replicas, len(batch)
            start, stop = rank * rows // processes, (rank + 1) * rows // processes
            yield Rows(batch[start:stop], Share(self.seed, epoch, first, rows, start, stop))
        if self.epoch == epoch:  # nobody counts the epochs
            self.epoch += 1


class _Resumable(DataLoader[RawBatch]):
    """A loader that goes on in the middle of an epoch: the datamodule says where.

    By these methods Lightning knows it, or it would warn.
    """

    def state_dict(self) -> dict[str, Any]:
        """Nothing: Lightning would not give it back where a schedule asks for its steps."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take nothing."""


def batch_loader(
    split: FishDataset, batches: TrainingBatches | EvaluationBatches, *, pin_memory: bool
) -> DataLoader[RawBatch]:
    """Load the batches of a split, each of which it gathers whole: there is nothing to collate."""
    return _Resumable(
        split, batch_size=None, sampler=batches, collate_fn=_as_it_is, pin_memory=pin_memory
    )


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401 - DataLoader calls it a list of samples
    return batch
