"""Going on with an earlier run as if it had not stopped, and stopping so that one can."""

import pytorch_lightning as pl
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fishcnn.data.datasets import Batch
from fishcnn.models.scores import MONITOR
from fishcnn.training.callbacks.history import History
from fishcnn.utils import stopping


class Resuming(pl.Callback):
    """Let the plateau schedule catch up, and let signals end a fit.

    Lightning would end a fit at SIGTERM with status 0, and only after asking the other processes.
    """

    def __init__(self, history: History) -> None:
        self.history = history

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take SIGTERM back from Lightning, and show the schedule the latest validation.

        Lightning shows it that only after it has saved at the end of an epoch; where a checkpoint
        was written later, it has.
        """
        stopping.answer_signals()
        stopping.answer_preemption()
        if trainer.fit_loop.restarted_mid_epoch:
            # Or Lightning would not show it the validation at the end of this epoch.
            trainer.fit_loop._restarting = False
            return
        latest = self.history.epochs[-1] if self.history.epochs else {}
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau) and MONITOR in latest:
                config.scheduler.step(latest[MONITOR])
                trainer.fit_loop.epoch_loop.scheduler_progress.increment_ready()
                trainer.fit_loop.epoch_loop.scheduler_progress.increment_completed()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Stop where some library has swallowed the exception that a signal has raised."""
        stopping.check_stopped()

    def on_validation_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Likewise."""
        stopping.check_stopped()
