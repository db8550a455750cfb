"""What stays on the screen, in a log file or in a pipe while a fit runs."""

import shutil
import sys
from collections.abc import Mapping

import pytorch_lightning as pl

from fishcnn.models.scores import SCORES
from fishcnn.training.callbacks.history import History


class EpochLines(pl.Callback):
    """Print a line after every epoch: what is measured on both splits.

    At a terminal it stands above the progress bar, which catches what is printed.

    Args:
        history: a callback before this one; its latest epoch is printed.
    """

    def __init__(self, history: History) -> None:
        self.history = history

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the latest numbers."""
        if not trainer.is_global_zero:
            return
        epoch, keys = self.history.epochs[-1], [s.key for s in SCORES if s.in_training]
        names = [f"{split}_{key}" for split in ("train", "val") for key in keys]
        shown = [f"{name} {epoch[name]:.3f}" for name in names if name in epoch]
        number = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        line = "  ".join([number, *shown])
        if sys.stdout.isatty() and len(line) > shutil.get_terminal_size().columns:
            line = _short(number, keys, epoch)
        # In one piece, as a bar puts itself below whatever it catches.
        print(line, flush=True)


def _short(number: str, keys: list[str], epoch: Mapping[str, float]) -> str:
    """The numbers of both splits side by side, for a narrow terminal."""
    shown = [
        f"{key} {epoch[f'train_{key}']:.3f}"
        + (f" val {epoch[f'val_{key}']:.3f}" if f"val_{key}" in epoch else "")
        for key in keys
    ]
    return "  ".join([number, *shown])
