"""Shows after every validation where the network looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from fishcnn.cam import CamResult, default_layer, energy_inside, grad_cam, pointing_hit
from fishcnn.cam_sheet import grad_cam_sheet
from fishcnn.classifier import FishClassifier
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.datasets import Batch
from fishcnn.errors import FishError
from fishcnn.figures import figure_to_array

# Bounds the memory of the activations.
_BATCH = 64


def stratified_sample(labels: NDArray[np.int64], *, size: int, seed: int) -> list[int]:
    """Choose pictures of as many different classes as possible.

    Args:
        labels: ``(N,)``.
        size: how many to choose; all, if there are fewer.
        seed: of the choice.

    Returns:
        Positions in ``labels``: a first picture of each class in random order, then a second, ...
    """
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels))
    seen: dict[int, int] = {}
    rounds = []
    for label in labels[shuffled].tolist():
        rounds.append(seen.get(label, 0))
        seen[label] = rounds[-1] + 1
    order = np.argsort(rounds, kind="stable")
    return [int(position) for position in shuffled[order][:size]]


@dataclass(frozen=True)
class _Maps:
    """Grad-CAM of some validation pictures, all on the CPU.

    Attributes:
        images: ``(N, 3, H, W)`` in [0, 1].
        labels: ``(N,)``.
        cam: maps and logits.
        masks: ``(N, H, W)`` or None.
    """

    images: Tensor
    labels: Tensor
    cam: CamResult
    masks: Tensor | None


class GradCam(pl.Callback):
    """Draw Grad-CAM of the same validation pictures after every validation.

    Works in evaluation mode and leaves gradients, modes and statistics alone. Logs
    ``cam_energy_on_fish`` and ``cam_pointing_game`` where the data has masks. In a distributed fit
    the first process draws.

    Args:
        every_n_epochs: draw in epochs that are a multiple of this; the numbers come every time.
        layer: dotted name in the network, or None for its last block.
        pictures: pictures on the sheet.
        measured: pictures over which the numbers are averaged.
        seed: of the choice of pictures.
    """

    def __init__(
        self, *, every_n_epochs: int, layer: str | None, pictures: int, measured: int, seed: int
    ) -> None:
        self.every_n_epochs = every_n_epochs
        self.layer = layer
        self.pictures = pictures
        self.measured = measured
        self.seed = seed

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Fail on a layer that does not exist before the first epoch rather than after it."""
        if trainer.is_global_zero:
            one = self._positions(trainer)[:1]
            try:
                self._explain(_classifier(pl_module), _datamodule(trainer), one)
            except FishError as error:
                raise FishError(f"callbacks.grad_cam.{error}") from error

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the sheet and log the numbers."""
        if trainer.sanity_checking or trainer.state.fn != "fit" or not trainer.is_global_zero:
            return
        classifier, datamodule = _classifier(pl_module), _datamodule(trainer)
        epoch = trainer.current_epoch + 1
        draw = epoch % self.every_n_epochs == 0
        has_masks = datamodule.datasets["val"].masks is not None
        if not draw and not has_masks:
            return
        positions = self._positions(trainer)
        maps = self._explain(classifier, datamodule, positions)
        if maps.masks is not None:
            energy = energy_inside(maps.cam.maps, maps.masks).nanmean()
            hits = pointing_hit(maps.cam.maps, maps.masks).nanmean()
            pl_module.log("cam_energy_on_fish", energy, logger=False, rank_zero_only=True)
            pl_module.log("cam_pointing_game", hits, logger=False, rank_zero_only=True)
        if draw and isinstance(trainer.logger, TensorBoardLogger):
            figure = self._sheet(maps, classifier.classes, f"Grad-CAM after epoch {epoch}")
            trainer.logger.experiment.add_image(
                "grad_cam", figure_to_array(figure), epoch, dataformats="HWC"
            )

    def sheet(self, classifier: FishClassifier, datamodule: FishDataModule, title: str) -> Figure:
        """Draw the same pictures as during the fit, as another network sees them."""
        maps = self._explain(classifier, datamodule, self._sample(datamodule, self.pictures))
        return self._sheet(maps, classifier.classes, title)

    def _positions(self, trainer: pl.Trainer) -> list[int]:
        datamodule = _datamodule(trainer)
        has_masks = datamodule.datasets["val"].masks is not None
        size = max(self.pictures, self.measured) if has_masks else self.pictures
        return self._sample(datamodule, size)

    def _sample(self, datamodule: FishDataModule, size: int) -> list[int]:
        """Positions of validation pictures; a smaller sample is the beginning of a larger one."""
        labels = datamodule.pictures.labels[datamodule.split.val]
        return stratified_sample(labels, size=size, seed=self.seed)

    def _explain(
        self, classifier: FishClassifier, datamodule: FishDataModule, positions: Sequence[int]
    ) -> _Maps:
        """Explain validation pictures; ``positions`` count within the validation side."""
        batches: list[Batch] = []
        results: list[CamResult] = []
        layer = self.layer
        for start in range(0, len(positions), _BATCH):
            chunk = list(positions[start : start + _BATCH])
            batch = datamodule.batch("val", chunk, classifier.device)
            images = classifier.normalize(batch["image"])
            layer = layer or default_layer(classifier.network, images)
            results.append(grad_cam(classifier.network, images, layer=layer))
            batches.append(batch)
        masks = [batch["mask"] for batch in batches if "mask" in batch]
        return _Maps(
            images=torch.cat([batch["image"] for batch in batches]).cpu(),
            labels=torch.cat([batch["label"] for batch in batches]).cpu(),
            cam=CamResult(
                torch.cat([result.maps for result in results]).cpu(),
                torch.cat([result.logits for result in results]).cpu(),
            ),
            masks=torch.cat(masks).cpu() if masks else None,
        )

    def _sheet(self, maps: _Maps, classes: list[str], title: str) -> Figure:
        shown = slice(0, self.pictures)
        probabilities, predicted = maps.cam.logits[shown].softmax(1).max(1)
        return grad_cam_sheet(
            maps.images[shown].permute(0, 2, 3, 1).numpy(),
            maps.cam.maps[shown].numpy(),
            [classes[k] for k in maps.labels[shown].tolist()],
            [classes[k] for k in predicted.tolist()],
            probabilities.tolist(),
            title,
        )


def _classifier(pl_module: pl.LightningModule) -> FishClassifier:
    return cast(FishClassifier, pl_module)


def _datamodule(trainer: pl.Trainer) -> FishDataModule:
    return cast(FishDataModule, trainer.datamodule)  # type: ignore[attr-defined]
