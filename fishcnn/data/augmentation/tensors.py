"""Small tensors with one entry per image."""

from typing import Any

import torch
from torch import Tensor


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy a few numbers of the host to a device, without waiting for what that computes.

    ``torch.tensor(values, device=device)`` waits until a GPU has done all that it was told before.
    """
    return values.to(device, non_blocking=device.type == "cuda")


def matrices(rows: tuple[tuple[Any, ...], ...], n: int, device: torch.device) -> Tensor:
    """Put numbers and ``(N,)`` tensors together to ``(N, rows, columns)``."""
    result = torch.zeros(n, len(rows), len(rows[0]), device=device)
    for i, row in enumerate(rows):
        for j, entry in enumerate(row):
            if isinstance(entry, Tensor):
                result[:, i, j] = entry
            elif entry:
                result[:, i, j].fill_(entry)
    return result


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
