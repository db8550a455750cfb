"""The random numbers of a training step: a function of the seed, the epoch and the batch.

A run that was killed goes on with the numbers that it would have had, and what is drawn for an
image does not depend on how many processes share its batch.
"""

from hashlib import blake2b
from typing import NamedTuple

import torch
from torch import Tensor

from fishcnn.data.augmentation.tensors import to_device


class Share(NamedTuple):
    """The part of a batch that one process has.

    Attributes:
        seed: of the training.
        epoch: from 0.
        first: how many images of the epoch come before the batch.
        rows: images of the whole batch, over all processes.
        start, stop: those of them which this process has.
    """

    seed: int
    epoch: int
    first: int
    rows: int
    start: int
    stop: int


def seed_of(purpose: str, *numbers: int) -> int:
    """A seed in [0, 2**63): numbers that differ a little give seeds that have nothing in common."""
    text = " ".join((purpose, *map(str, numbers)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 1


def seed_network(share: Share, device: torch.device) -> None:
    """Seed torch's global generators, from which dropout draws: a process of its own numbers."""
    seed = seed_of("network", share.seed, share.epoch, share.first, share.start)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


class Draws:
    """Random numbers for the images of a batch, drawn on the device where they are needed.

    They are drawn for the whole batch, of which each process takes its own.

    Args:
        n: images.
        device: where they are.
        share: the part of the batch that they are; without it, the numbers come from torch's global
            generators.
    """

    def __init__(self, n: int, device: torch.device, share: Share | None = None) -> None:
        self.n = n
        self.device = device
        self._rows, self._own = n, slice(None)
        self._generator = self._on_host = None
        if share:
            self._rows, self._own = share.rows, slice(share.start, share.stop)
            seed = seed_of("augmentation", share.seed, share.epoch, share.first)
            self._generator = torch.Generator(device).manual_seed(seed)
            on_host = device.type == "cpu"
            self._on_host = self._generator if on_host else torch.Generator().manual_seed(seed)

    def uniform(self, low: float = 0.0, high: float = 1.0, *shape: int) -> Tensor:
        """Numbers from [low, high), float32 ``(N, *shape)``."""
        drawn = torch.empty(self._rows, *shape, device=self.device)
        return drawn.uniform_(low, high, generator=self._generator)[self._own]

    def uniform_on_host(self, *shape: int) -> Tensor:
        """Numbers from [0, 1) on the CPU, float32 ``(N, *shape)``."""
        return torch.rand(self._rows, *shape, generator=self._on_host)[self._own]

    def integers(self, below: int) -> Tensor:
        """Whole numbers from 0, int64 ``(N,)``."""
        size = (self._rows,)
        drawn = torch.randint(below, size, generator=self._generator, device=self.device)
        return drawn[self._own]

    def beta(self, alpha: float) -> Tensor:
        """Numbers of the symmetric Beta distribution, float32 ``(N,)``."""
        # torch.distributions.Beta draws likewise, but takes no generator.
        both = torch.full((self._rows, 2), alpha)
        drawn = torch._sample_dirichlet(both, generator=self._on_host)[self._own, 0]
        return to_device(drawn, self.device)

    def permutation(self) -> Tensor:
        """The numbers below N in random order, int64 ``(N,)``."""
        return self.uniform().argsort(stable=True)

    def choice(self, count: int) -> int:
        """One whole number below ``count`` for the whole batch."""
        return int(torch.randint(count, (), generator=self._on_host))
