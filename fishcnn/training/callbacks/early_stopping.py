"""The end of a fit whose validation loss no longer falls."""

import logging
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from fishcnn.models.scores import MONITOR

log = logging.getLogger(__name__)


class PatientEarlyStopping(EarlyStopping):
    """Early stopping that waits for a slow start, and anew when a run that it ended is continued.

    Lightning would restore the exhausted patience of such a run, and stop again after one epoch,
    whatever patience is set now. A run that was killed goes on waiting.

    After ``patience`` validations without a lower loss the fit ends; the first to count is that of
    ``start_epoch``, from 1.
    """

    def __init__(self, *, patience: int = 5, start_epoch: int = 20) -> None:
        super().__init__(MONITOR, patience=patience)
        self.start_epoch = start_epoch

    def _should_skip_check(self, trainer: pl.Trainer) -> bool:
        return trainer.current_epoch + 1 < self.start_epoch or super()._should_skip_check(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say why the fit has ended before its last epoch."""
        if self.stopped_epoch:
            log.info(
                "Stopped early, after epoch %d of %d: the validation loss has not been lower for "
                "%d validations (callbacks.early_stopping.patience).",
                self.stopped_epoch + 1,
                trainer.max_epochs,
                self.patience,
            )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the best loss, and the waiting unless it had an end."""
        if state_dict["stopped_epoch"]:
            state_dict = {**state_dict, "wait_count": 0, "stopped_epoch": 0}
        super().load_state_dict({**state_dict, "patience": self.patience})
