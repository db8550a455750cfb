"""The exponential moving average of the weights, on the device that trains."""

from itertools import chain
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fishcnn.data.datasets import Batch


class AveragedWeights(WeightAveraging):
    """Validate and keep an average of the weights instead of the latest ones.

    The average begins with short memory, as in TensorFlow's ExponentialMovingAverage: with the full
    decay from the start, a small data set would be validated on nearly random weights for epochs.
    The decay, in 0 to 1, is the share of the average that stays at each step.
    """

    def __init__(self, *, decay: float = 0.99) -> None:
        self.decay = decay
        super().__init__()

    def decay_after(self, steps: int) -> float:
        """The share of an average of so many steps that stays at the next one."""
        return min(self.decay, (1 + steps) / (10 + steps)) if steps else 0.0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Set up on the training device.

        Lightning sets callbacks up before it moves the network, so that the average would stay on
        the CPU and every step would copy all weights off the GPU.
        """
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:
            # The host reads it in every step, and would wait for the device.
            self._average_model.n_averaged = self._average_model.n_averaged.cpu()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's own type
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Add the weights of a step; Lightning's own waits for the device at every one of them."""
        if trainer.global_step <= self._latest_update_step:
            return
        self._latest_update_step = trainer.global_step
        average = self._average_model
        assert average is not None
        decay = self.decay_after(int(average.n_averaged))
        update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        kept = chain(average.module.parameters(), average.module.buffers())
        latest = chain(pl_module.parameters(), pl_module.buffers())
        pairs = [(old.detach(), new.detach()) for old, new in zip(kept, latest, strict=True)]
        for floating in (True, False):  # all of a kind in one kernel
            chosen = [pair for pair in pairs if pair[0].is_floating_point() == floating]
            if chosen:
                update(*map(list, zip(*chosen, strict=True)), None)
        average.n_averaged += 1
