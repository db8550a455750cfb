"""The exponential moving average of the weights, on the device that trains."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EMAWeightAveraging


class AveragedWeights(EMAWeightAveraging):
    """Average where the weights are.

    Lightning sets callbacks up before it moves the network, so that the average would stay on the
    CPU and every step would copy all weights off the GPU.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Name the device, then set up."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
