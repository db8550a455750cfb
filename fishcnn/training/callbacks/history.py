"""Keeps the curves of a fit: every iteration's loss, every epoch's metrics."""

import csv
import io
import time
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from fishcnn.data.datasets import Batch
from fishcnn.models.scores import TRAIN_SCORES, VAL_SCORES
from fishcnn.training.callbacks.grad_cam import CAM_SCORES
from fishcnn.training.event_files import event_sizes
from fishcnn.training.writer import SplitCurves, tag_of, tensorboard_writer
from fishcnn.utils.files import write_text
from fishcnn.utils.run_folder import RunFolder

# Of metrics.csv, in this order.
COLUMNS = (
    "epoch",
    *TRAIN_SCORES,
    *VAL_SCORES,
    *CAM_SCORES,
    "lr",
    "seconds",
    "train_images_per_second",
    "data_wait",
)


# Of a checkpoint: the sizes of the event files when it was written.
EVENTS = "events"
_WITHIN = "epoch_so_far"  # likewise, where it was written within an epoch


class History(pl.Callback):
    """Record the curves, write ``metrics.csv`` after every epoch, and fill TensorBoard's scalars.

    TensorBoard gets ``train/loss_per_iteration`` against the iteration, and the other
    :data:`COLUMNS`, by :func:`tag_of`, against the epoch, both counted from 1. The learning rate
    stands against the steps before it, so from 0; there is one for each group of parameters.
    ``data_wait`` is the share of the training time in which the next batch was not ready; on a GPU,
    where host and device work side by side, that is the host's view.

    The losses of an epoch stay on the device and are read in one go at its end, so that recording
    every iteration does not make the host wait for the device. Resuming continues the curves.

    Attributes:
        epochs: one mapping an epoch, with the keys :data:`COLUMNS`; what was not measured in an
            epoch is missing. Epochs count from 1.
        step_losses: training loss of every iteration.
        first_step: when the first batch was there, by ``time.perf_counter``; None before.
        earlier_seconds: that the epochs took which earlier starts have trained.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.epochs: list[dict[str, float]] = []
        self.step_losses: list[float] = []
        self._pending: list[Tensor] = []
        self._read: list[float] = []  # those of this epoch that came before the pending ones
        self._rates: list[list[float]] = []
        self._images = 0
        self._train_seconds = 0.0
        self._start = 0.0
        self._free_since = 0.0
        self._waited = 0.0
        self._splits: SplitCurves | None = None
        self.first_step: float | None = None
        self.earlier_seconds = 0.0

    def column(self, name: str) -> list[float]:
        """One metric over the epochs; NaN where it was not measured."""
        return [epoch.get(name, float("nan")) for epoch in self.epochs]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let the clock run on in the middle of an epoch."""
        self._earlier: dict[str, Tensor] = {}
        self._free_since = time.perf_counter()
        self._start += self._free_since

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._earlier = dict(trainer.callback_metrics)
        self._images = 0
        self._waited = 0.0
        self._start = self._free_since = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Count the time since the last step: the batch was gathered, moved and augmented."""
        now = time.perf_counter()
        self._waited += now - self._free_since
        self.first_step = self.first_step or now
        self._rates.append([float(group["lr"]) for group in trainer.optimizers[0].param_groups])

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's own type
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Keep the loss on the device; after the last batch, read all and stop the clock."""
        self._pending.append(outputs["loss"].detach())
        self._images += len(batch["label"])
        if batch_idx + 1 == trainer.num_training_batches:
            self._read_losses(trainer)
        self._free_since = time.perf_counter()

    def _read_losses(self, trainer: pl.Trainer) -> None:
        """Wait for the device, stop the clock, and log the losses of the iterations."""
        losses = self._losses(trainer)
        self._train_seconds = time.perf_counter() - self._start
        rates, self._rates = self._rates, []
        self._pending.clear()
        self._read = []
        first = len(self.step_losses) + 1
        self.step_losses += losses
        if writer := tensorboard_writer(trainer):
            for step, loss in enumerate(losses, first):
                writer.add_scalar("train/loss_per_iteration", loss, step)
            for step, of_groups in enumerate(rates, first - 1):
                for group, rate in enumerate(of_groups, 1):
                    of_group = f"/pg{group}" if len(of_groups) > 1 else ""
                    writer.add_scalar(f"{tag_of('learning_rate')}{of_group}", rate, step)

    def _losses(self, trainer: pl.Trainer) -> list[float]:
        """Of this epoch so far; the host waits for the device."""
        if not self._pending:
            return self._read
        # Those of the whole batches, of which each process has a share.
        mean = trainer.strategy.reduce(torch.stack(self._pending), reduce_op="mean")
        return [*self._read, *mean.tolist()]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch; Lightning has validated by now, if it validates in this epoch."""
        if self._rates:  # the epoch was cut short
            self._read_losses(trainer)
        epoch = {"epoch": float(trainer.current_epoch + 1)}
        for name, value in trainer.callback_metrics.items():
            # Lightning still shows what an earlier epoch has measured, and this one has not: in the
            # very same tensor.
            if name in COLUMNS and value is not self._earlier.get(name):
                epoch[name] = float(value)
        epoch["lr"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        epoch["seconds"] = time.perf_counter() - self._start
        epoch["train_images_per_second"] = self._images * trainer.world_size / self._train_seconds
        epoch["data_wait"] = self._waited / self._train_seconds
        self.epochs.append(epoch)
        if trainer.is_global_zero:
            self._write_csv()
        if writer := tensorboard_writer(trainer):
            for name in epoch.keys() - {"epoch", "lr"}:
                writer.add_scalar(tag_of(name), epoch[name], trainer.current_epoch + 1)
            writer.flush()
            self._splits = self._splits or SplitCurves(writer.log_dir)
            self._splits.add(epoch, trainer.current_epoch + 1)

    def _write_csv(self) -> None:
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, COLUMNS, extrasaction="ignore")  # an older run's columns
        writer.writeheader()
        for epoch in self.epochs:
            writer.writerow({name: f"{value:.6g}" for name, value in epoch.items()})
        write_text(self.folder.metrics, table.getvalue())

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write ``metrics.csv`` where nothing was left to train."""
        if trainer.is_global_zero and not self.folder.metrics.is_file():
            self._write_csv()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close what was opened for TensorBoard."""
        if self._splits:
            self._splits.close()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep what TensorBoard knows, and within an epoch what there is of it."""
        if writer := tensorboard_writer(trainer):
            checkpoint[EVENTS] = event_sizes(writer)
        if self._rates:
            checkpoint[_WITHIN] = {
                "losses": self._losses(trainer),
                "rates": self._rates,
                "images": self._images,
                "waited": self._waited,
                "seconds": time.perf_counter() - self._start,
            }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on within an epoch."""
        if within := checkpoint.get(_WITHIN):
            self._read, self._rates = list(within["losses"]), list(within["rates"])
            self._images, self._waited = within["images"], within["waited"]
            self._start = -within["seconds"]  # before the clock of this process
            self.earlier_seconds += within["seconds"]

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"epochs": self.epochs, "step_losses": self.step_losses}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the curves of a checkpoint."""
        self.epochs = list(state_dict["epochs"])
        self.earlier_seconds += sum(epoch["seconds"] for epoch in self.epochs)
        self.step_losses = list(state_dict["step_losses"])
