"""What a person sees while a fit runs: a bar on a terminal, a line an epoch in a log file."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar

_SHOWN = ("train_loss", "train_acc", "val_loss", "val_acc")


class ProgressBar(RichProgressBar):
    """Lightning's bar, with epochs that count from 1 as everywhere else here."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}"


class EpochLines(pl.Callback):
    """Print a line after every epoch, for output that goes into a file or a pipe."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the latest metrics."""
        metrics = trainer.callback_metrics
        shown = [f"{name} {float(metrics[name]):.3f}" for name in _SHOWN if name in metrics]
        if trainer.is_global_zero:
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            print(epoch, *shown, sep="  ", flush=True)
