"""Going on with an earlier run as if it had not stopped."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fishcnn.training.callbacks.history import History


class PatientEarlyStopping(EarlyStopping):
    """Early stopping that waits for a slow start, and anew when a run is continued.

    Lightning would restore the exhausted patience of a run that was stopped early, and stop again
    after one epoch, whatever patience is set now.

    Args:
        monitor: metric that has to fall.
        patience: validations without a lower value before the fit ends.
        start_epoch: epoch, counted from 1, whose validation is the first to count.
    """

    def __init__(self, monitor: str, *, patience: int, start_epoch: int) -> None:
        super().__init__(monitor, patience=patience)
        self.start_epoch = start_epoch

    def _should_skip_check(self, trainer: pl.Trainer) -> bool:
        return trainer.current_epoch + 1 < self.start_epoch or super()._should_skip_check(trainer)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the best loss, not the waiting."""
        super().load_state_dict(
            {**state_dict, "wait_count": 0, "stopped_epoch": 0, "patience": self.patience}
        )


class Resuming(pl.Callback):
    """Let the plateau schedule catch up, and say how to go on after Ctrl-C.

    Args:
        history: the curves, which a checkpoint restores.
        checkpoint: the file that is written after every epoch.
    """

    def __init__(self, history: History, checkpoint: Path) -> None:
        self.history = history
        self.checkpoint = checkpoint

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the schedule the latest validation: Lightning does so only after it has saved."""
        latest = self.history.epochs[-1] if self.history.epochs else {}
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau) and "val_loss" in latest:
                config.scheduler.step(latest["val_loss"])

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Name the checkpoint to go on from."""
        if isinstance(exception, KeyboardInterrupt) and self.checkpoint.is_file():
            print(f"\nStopped. Repeat the command with ckpt_path={self.checkpoint} to go on.")
