"""What a log file or a pipe gets while a fit runs."""

import pytorch_lightning as pl

from fishcnn.models.scores import SCORES


class EpochLines(pl.Callback):
    """Print a line after every epoch: what is measured on both splits."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the latest numbers."""
        if not trainer.is_global_zero:
            return
        metrics, keys = trainer.callback_metrics, [s.key for s in SCORES if s.in_training]
        names = [f"{split}_{key}" for split in ("train", "val") for key in keys]
        shown = [f"{name} {float(metrics[name]):.3f}" for name in names if name in metrics]
        print(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}", *shown, sep="  ", flush=True
        )
