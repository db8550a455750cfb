"""Where callbacks find TensorBoard."""

from typing import cast

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter


def tensorboard_writer(trainer: pl.Trainer) -> SummaryWriter | None:
    """TensorBoard's writer in the process that logs; None in others or without TensorBoard."""
    if trainer.is_global_zero and isinstance(trainer.logger, TensorBoardLogger):
        return cast(SummaryWriter, trainer.logger.experiment)
    return None
