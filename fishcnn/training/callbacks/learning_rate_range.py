"""Which learning rate to begin with: the range test."""

import math
from typing import Any

import numpy as np
import pytorch_lightning as pl

from fishcnn.data.datasets import Batch

LOWEST, HIGHEST = 1e-6, 1.0
_SMOOTHING = 0.9  # of the running mean of the losses
_DIVERGED = 4.0  # times the lowest loss


class LearningRateRange(pl.Callback):
    """Raise the learning rate from step to step, evenly in its logarithm, and watch the loss.

    The fit ends when the loss explodes. The network is of no use afterwards.
    Smith, "Cyclical Learning Rates for Training Neural Networks", 2017, section 3.3.

    Attributes:
        rates: the learning rate of each step that was taken.
        losses: the running mean of the training loss after each of them, free of its start at 0.

    Args:
        steps: from :data:`LOWEST` to :data:`HIGHEST`, at least 2.
    """

    def __init__(self, *, steps: int = 100) -> None:
        self.steps = steps
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._mean = 0.0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Set the rate of this step, whatever the schedule has set."""
        rate = LOWEST * (HIGHEST / LOWEST) ** (len(self.rates) / (self.steps - 1))
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        self.rates.append(rate)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's own type
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Note the loss, which is that of the weights before this step."""
        self._mean = _SMOOTHING * self._mean + (1 - _SMOOTHING) * outputs["loss"].item()
        mean = self._mean / (1 - _SMOOTHING ** len(self.rates))
        self.losses.append(mean)
        exploded = not math.isfinite(mean) or mean > _DIVERGED * min(self.losses)
        if exploded or len(self.rates) == self.steps:
            trainer.should_stop = True

    @property
    def suggestion(self) -> float | None:
        """The rate around which the loss falls most steeply, over a whole decade of rates.

        None where it never falls.
        """
        losses, rates = np.array(self.losses), np.log10(self.rates)
        if not len(losses) or not np.isfinite(losses).any():
            return None
        # Beyond the lowest loss, the curve may fall from the height of an explosion.
        last = int(np.nanargmin(losses)) + 1
        losses, rates = losses[:last], rates[:last]
        # Whole decades: less would find the noise of a few batches, or the rate of the lowest loss,
        # beyond which training is about to fail.
        centres = rates[(rates >= rates[0] + 0.5) & (rates <= rates[-1] - 0.5)]
        windows = [np.abs(rates - centre) <= 0.5 for centre in centres]
        slopes = [np.polyfit(rates[near], losses[near], 1)[0] for near in windows if near.sum() > 1]
        if not slopes or min(slopes) >= 0:
            return None
        return float(10 ** centres[int(np.argmin(slopes))])
