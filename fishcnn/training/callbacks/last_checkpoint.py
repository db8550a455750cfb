"""The checkpoint from which a run goes on."""

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from fishcnn.data.datasets import Batch
from fishcnn.utils import stopping
from fishcnn.utils.run_folder import RunFolder

# Several processes ask each other at every so many batches whether SLURM has told one of them to
# end: each time, the host of a GPU waits for it.
_ASK_EVERY = 10


class LastCheckpoint(ModelCheckpoint):
    """Write a checkpoint after every epoch, and where that is wanted also within.

    On a GPU an epoch can be shorter than writing a hundred megabytes, so that most of a fit would
    be writing: a large checkpoint is written at most every few seconds, and after the last epoch.

    Args:
        folder: of the run.
        every_n_steps: optimizer steps from one checkpoint within an epoch to the next; None for
            none.
        large: bytes of a checkpoint that is not written after every epoch.
        seconds: from one of these to the next.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        every_n_steps: int | None = None,
        large: int = 10_000_000,
        seconds: float = 5.0,
    ) -> None:
        self._file = folder.last_checkpoint
        self._every_n_steps = every_n_steps
        self._large = large
        self._seconds = seconds
        self._written: float | None = None
        super().__init__(
            folder.checkpoints,
            filename=self._file.stem,
            # Lightning's save_last writes only when the best checkpoint is written as well.
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    @property
    def state_key(self) -> str:
        """That of Lightning's own class, as in the checkpoints of earlier versions."""
        return super().state_key.replace(type(self).__name__, ModelCheckpoint.__name__)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: what was written before a stop is no part of a run."""
        return {}

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's own type
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Write it within an epoch, where the weights have just been changed."""
        every, preempted = self._every_n_steps, _preempted(trainer, batch_idx)
        ends = batch_idx + 1 == trainer.num_training_batches
        if ends or trainer.fit_loop._should_accumulate():
            return
        if preempted or (every and not trainer.global_step % every):
            self._write(trainer, pl_module)
        if preempted:
            stopping.stop_preempted()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write it, where it is due."""
        preempted = _preempted(trainer)
        # The processes of a distributed fit write together, when the first one has to: it alone can
        # see the file in any case.
        if trainer.strategy.broadcast(self._is_due(trainer)) or preempted:
            self._write(trainer, pl_module)
        if preempted:
            stopping.stop_preempted()

    def _write(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        self._written = time.monotonic()

    def _is_due(self, trainer: pl.Trainer) -> bool:
        if self._written is None or time.monotonic() - self._written >= self._seconds:
            return True
        ends = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        ends = ends or trainer.global_step == trainer.max_steps
        return ends or not self._file.is_file() or self._file.stat().st_size < self._large


def _preempted(trainer: pl.Trainer, batch_idx: int = 0) -> bool:
    """Whether SLURM has asked any process of a fit to end."""
    if not stopping.watches_preemption() or (trainer.world_size > 1 and batch_idx % _ASK_EVERY):
        return False
    return trainer.strategy.reduce_boolean_decision(stopping.preempted(), all=False)
