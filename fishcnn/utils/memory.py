"""Memory that nobody needs any more."""

import gc
import sys


def free_memory() -> None:
    """Give back what a training has left, before another begins in the same process.

    A network, its optimizer, the trainer and the loaders refer to each other, so that they stay
    until Python looks for such circles. It does so when many objects were made: tensors are few and
    large. torch keeps the memory of a GPU for itself, where other processes may want it.
    """
    gc.collect()
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
