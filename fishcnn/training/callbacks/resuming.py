"""Going on with an earlier run as if it had not stopped."""

import pytorch_lightning as pl
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fishcnn.models.scores import MONITOR
from fishcnn.training.callbacks.history import History
from fishcnn.utils.run_folder import RunFolder


class Resuming(pl.Callback):
    """Let the plateau schedule catch up, and say how to go on after Ctrl-C."""

    def __init__(self, folder: RunFolder, history: History) -> None:
        self.folder = folder
        self.history = history

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the schedule the latest validation: Lightning does so only after it has saved."""
        latest = self.history.epochs[-1] if self.history.epochs else {}
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau) and MONITOR in latest:
                config.scheduler.step(latest[MONITOR])

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Name the checkpoint to go on from."""
        checkpoint = self.folder.last_checkpoint
        if isinstance(exception, KeyboardInterrupt) and checkpoint.is_file():
            print(f"\nStopped. To go on, repeat the command with ckpt_path={checkpoint}")
