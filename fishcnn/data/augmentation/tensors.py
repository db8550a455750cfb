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


def boxes(x: Tensor, y: Tensor, half_width: Tensor, half_height: Tensor, like: Tensor) -> Tensor:
    """Tell which pixels of ``(N, C, H, W)`` lie in the box of each image; bool ``(N, 1, H, W)``.

    Centre and reach are ``(N,)``, as shares of width and height.
    """
    height, width = like.shape[2:]
    columns = (torch.arange(width, device=like.device) + 0.5) / width
    rows = (torch.arange(height, device=like.device) + 0.5) / height
    inside_x = (columns - x.view(-1, 1)).abs() < half_width.view(-1, 1)
    inside_y = (rows - y.view(-1, 1)).abs() < half_height.view(-1, 1)
    return inside_y.view(-1, 1, height, 1) & inside_x.view(-1, 1, 1, width)
