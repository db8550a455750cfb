"""Serves splits in batches, and knows how far a fit is in them."""

from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fishcnn.data.augmentation.draws import seed_network
from fishcnn.data.augmentation.tensors import to_device
from fishcnn.data.datasets import Batch, FishDataset, RawBatch
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.evaluation_batches import EvaluationBatches
from fishcnn.data.loaders import TrainingBatches, batch_loader
from fishcnn.utils.errors import FishError


def within_epoch(trainer: pl.Trainer) -> bool:
    """Whether a fit is between the beginning and the end of an epoch."""
    epochs: Any = trainer.fit_loop.epoch_progress.current
    return bool(epochs.started > epochs.processed)


class SplitBatches(pl.LightningDataModule):
    """Loads the batches of each split, and transforms them on the device of the network.

    Args:
        batch_size: images a batch in each process.
        on_device: whether the images are copied to the device of the network; None for where that
            is a GPU with room for them.
        seed: of the training; None draws one for each fit.
    """

    images: ImageSet
    datasets: dict[str, FishDataset]

    def __init__(self, *, batch_size: int, on_device: bool | None, seed: int | None) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.on_device = on_device
        self.seed = seed
        self._drawn_seed: int | None = None
        self._begun = (0, 0)  # the epoch that is to go on, and how many of its images are done

    @property
    def image_weights(self) -> Tensor | None:
        """How often each training image is drawn, float ``(n,)``; None for once an epoch."""
        return None

    def setup(self, stage: str | None = None) -> None:
        """Let a fit begin at its beginning; Lightning loads its checkpoint after this."""
        if stage == "fit":
            self._begun, self._drawn_seed = (0, 0), None

    def transfer_batch_to_device(
        self, batch: RawBatch, device: torch.device, dataloader_idx: int
    ) -> RawBatch:
        """Move a batch to a device, and gather its images there if they did not come along."""
        moved = {
            name: to_device(part, device) if isinstance(part, Tensor) else part
            for name, part in batch.items()
        }
        return self.datasets[batch["split"]].complete(cast(RawBatch, moved))

    def on_after_batch_transfer(self, batch: RawBatch, dataloader_idx: int) -> Batch:
        """Apply the transform of the split that the batch comes from, on its device.

        Dropout in the step that follows draws the numbers of this batch.
        """
        if "share" in batch:
            seed_network(batch["share"], batch["label"].device)
        return self.datasets[batch["split"]].transform(batch)

    def batch(self, split: str, positions: list[int], device: torch.device) -> Batch:
        """Transformed images of one split; ``positions`` count within that split."""
        dataset = self.datasets[split]
        raw = dataset.complete(dataset[positions])
        return self.on_after_batch_transfer(self.transfer_batch_to_device(raw, device, 0), 0)

    def train_dataloader(self) -> DataLoader[RawBatch]:
        """Shuffled batches of the training split, or the share of this process in them.

        Raises:
            FishError: there are too few images for so many processes.
        """
        if getattr(
            self.trainer, "overfit_batches", 0
        ):  # Lightning wants the same batches in each epoch
            return self._evaluation_loader("train")
        return batch_loader(self.datasets["train"], self._batches(), pin_memory=self._pinned())

    def _batches(self) -> TrainingBatches:
        """Those of a training, in this process, from where it is to go on."""
        return self._training_batches(
            seed=self._training_seed(),
            weights=self.image_weights,
            begun=self._begun,
            **self._process(),
        )

    def _training_batches(self, **settings: Any) -> TrainingBatches:
        return TrainingBatches(self.datasets["train"], self.batch_size, **settings)

    def val_dataloader(self) -> DataLoader[RawBatch]:
        """Batches of the validation split, always in the same order."""
        return self._evaluation_loader("val")

    def test_dataloader(self) -> DataLoader[RawBatch]:
        """Batches of the test split, always in the same order."""
        return self._evaluation_loader("test")

    def _evaluation_loader(self, split: str) -> DataLoader[RawBatch]:
        dataset = self.datasets[split]
        batches = EvaluationBatches(len(dataset), self.batch_size, **self._process())
        return batch_loader(dataset, batches, pin_memory=self._pinned())

    def _process(self) -> dict[str, int]:
        """Which of the processes of a fit this is; it is alone without one."""
        trainer = self.trainer
        return {"rank": trainer.global_rank, "processes": trainer.world_size} if trainer else {}

    def _pinned(self) -> bool:
        """Copy the images to the device where that is wanted; whether batches cross over to it."""
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if self.images.fits(device) if self.on_device is None else self.on_device:
            self.images.keep_on(device)
        return device.type == "cuda" and self.images.device is None

    def _training_seed(self) -> int:
        """The seed of the training; where none was given, one for each fit, of all processes."""
        if self.seed is not None:
            return self.seed
        if self._drawn_seed is None:
            drawn = int(torch.randint(2**32, ()))
            self._drawn_seed = self.trainer.strategy.broadcast(drawn) if self.trainer else drawn
        return self._drawn_seed

    def state_dict(self) -> dict[str, Any]:
        """How far a fit is, for its checkpoint.

        Returns:
            seed: of the training.
            epoch: that is to go on, from 0.
            images: how many of it have been trained on; 0 where it has not begun.
            rows: images of a batch, over all processes.
            order: what the order of that epoch comes to; only where it has begun.
        """
        if self.trainer is None:
            return {}
        loop, rows = self.trainer.fit_loop, self.batch_size * self.trainer.world_size
        epochs: Any = loop.epoch_progress.current
        # Their "completed" is one less where a callback saves after a batch.
        batches: Any = loop.epoch_loop.batch_progress.current
        state = {
            "seed": self._training_seed(),
            "epoch": epochs.processed,
            "images": 0,
            "rows": rows,
        }
        if not within_epoch(self.trainer):
            return state
        done, order = batches.processed * rows, self._batches().digest(epochs.processed)
        return {**state, "images": done, "order": order}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the fit of a checkpoint was.

        Raises:
            FishError: that is in the middle of an epoch, which has another order or other batches
                now.
        """
        before = state_dict["rows"], state_dict["seed"]
        if self.seed is None:
            self._drawn_seed = state_dict["seed"]
        rows = self.batch_size * (self.trainer.world_size if self.trainer else 1)
        now = rows, self._training_seed()
        if state_dict["images"] and before != now:
            raise FishError(
                f"the checkpoint is of the middle of an epoch, with batches of {before[0]} images "
                f"over all processes and the seed {before[1]}; it cannot go on with batches of "
                f"{now[0]} and the seed {now[1]}"
            )
        epoch, done = state_dict["epoch"], state_dict["images"]
        order = state_dict.get("order") if done else None  # those of earlier versions have none
        if order is not None and self._batches().digest(epoch) != order:
            raise FishError(
                "the checkpoint is of the middle of an epoch, in which the images come in another "
                "order now: have some been added or taken away, or packed anew?"
            )
        self._begun = epoch, done
