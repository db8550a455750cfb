"""What a network has beside weights."""

import torch.distributed
from torch import nn


def broadcast_buffers(network: nn.Module) -> None:
    """Let all processes of a fit take those of the first one: statistics of batch norm."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, src=0)
