"""The exponential moving average of the weights, on the device that trains."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class AveragedWeights(WeightAveraging):
    """Validate and keep an average of the weights instead of the latest ones.

    The average begins with short memory, as in TensorFlow's ExponentialMovingAverage: with the full
    decay from the start, a small data set would be validated on nearly random weights for epochs.
    The decay, in 0 to 1, is the share of the average that stays at each step.
    """

    def __init__(self, *, decay: float = 0.99) -> None:
        self.decay = decay
        super().__init__(avg_fn=self._average)

    def _average(self, average: Tensor, latest: Tensor, steps: Tensor | int) -> Tensor:
        decay = min(self.decay, (1 + float(steps)) / (10 + float(steps)))
        return decay * average + (1 - decay) * latest

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Set up on the training device.

        Lightning sets callbacks up before it moves the network, so that the average would stay on
        the CPU and every step would copy all weights off the GPU.
        """
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
