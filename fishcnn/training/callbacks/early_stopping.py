"""The end of a fit whose validation loss no longer falls."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from fishcnn.models.scores import MONITOR


class PatientEarlyStopping(EarlyStopping):
    """Early stopping that waits for a slow start, and anew when a run is continued.

    Lightning would restore the exhausted patience of a run that was stopped early, and stop again
    after one epoch, whatever patience is set now.

    After ``patience`` validations without a lower loss the fit ends; the first to count is that of
    ``start_epoch``, from 1.
    """

    def __init__(self, *, patience: int = 5, start_epoch: int = 20) -> None:
        super().__init__(MONITOR, patience=patience)
        self.start_epoch = start_epoch

    def _should_skip_check(self, trainer: pl.Trainer) -> bool:
        return trainer.current_epoch + 1 < self.start_epoch or super()._should_skip_check(trainer)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the best loss, not the waiting."""
        super().load_state_dict(
            {**state_dict, "wait_count": 0, "stopped_epoch": 0, "patience": self.patience}
        )
