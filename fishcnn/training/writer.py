"""Where callbacks find TensorBoard, and what they call things there."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter

from fishcnn.models.scores import SCORES

SPLITS = ("train", "val")
_TITLES = {score.key: score.title.replace(" ", "_") for score in SCORES}
# What both splits have. TensorBoard sorts by name: this comes first, above ``cam/``.
_BOTH = sorted(_TITLES[score.key] for score in SCORES if score.in_training)
TOP = "_and_".join(_BOTH)


def tensorboard_writer(trainer: pl.Trainer) -> SummaryWriter | None:
    """TensorBoard's writer in the process that logs; None in others or without TensorBoard."""
    if trainer.is_global_zero and isinstance(trainer.logger, TensorBoardLogger):
        return cast(SummaryWriter, trainer.logger.experiment)
    return None


def tag_of(name: str) -> str:
    """What a number is called in TensorBoard: below ``train/``, ``val/``, ``cam/`` or ``system/``.

    Args:
        name: as in metrics.csv, such as ``val_acc``, which is ``val/accuracy``.
    """
    group, _, rest = name.partition("_")
    if group in SPLITS and rest in _TITLES:
        return f"{group}/{_TITLES[rest]}"
    return f"cam/{rest}" if group == "cam" else f"system/{name}"


class SplitCurves:
    """Training and validation in one chart, in two colours.

    TensorBoard has one colour for a run, and draws the same tag of several runs in one chart. So
    each split is a run of its own, ``train`` and ``val`` below that of the fit, with nothing but
    the scores that both have.

    Args:
        folder: of the fit's events.
    """

    def __init__(self, folder: str) -> None:
        self._writers = {split: SummaryWriter(Path(folder) / split) for split in SPLITS}

    def add(self, scores: Mapping[str, float], epoch: int) -> None:
        """Write those of an epoch, named as in metrics.csv, whose epochs count from 1."""
        for name, value in scores.items():
            split, _, title = tag_of(name).partition("/")
            if split in SPLITS and title in _BOTH:
                self._writers[split].add_scalar(f"{TOP}/{title}", value, epoch)
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Write what is left."""
        for writer in self._writers.values():
            writer.close()
