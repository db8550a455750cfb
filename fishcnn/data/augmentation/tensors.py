"""Small tensors with one entry per image."""

from typing import Any

import torch
from torch import Tensor


def uniform(n: int, low: float, high: float, device: torch.device) -> Tensor:
    """Draw ``(n,)`` numbers from [low, high)."""
    return torch.empty(n, device=device).uniform_(low, high)


def matrices(rows: tuple[tuple[Any, ...], ...], n: int, device: torch.device) -> Tensor:
    """Stack numbers and ``(N,)`` tensors into ``(N, rows, columns)``."""
    entries = [torch.as_tensor(e, dtype=torch.float32, device=device) for r in rows for e in r]
    return torch.stack([e.expand(n) for e in entries], 1).view(n, len(rows), -1)
