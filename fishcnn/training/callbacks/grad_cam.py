"""Shows after every validation where the network looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from fishcnn.cam.faithfulness import (
    MIN_IMAGES,
    average_drop_and_increase,
    centre_maps,
    random_maps,
)
from fishcnn.cam.layers import default_layer
from fishcnn.cam.localisation import energy_inside, pointing_hit
from fishcnn.cam.maps import CamResult, grad_cam
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.datasets import Batch
from fishcnn.data.splitting.sampling import stratified_sample
from fishcnn.models.classifier import FishClassifier
from fishcnn.plots.cam_sheet import grad_cam_sheet
from fishcnn.plots.figure import figure_to_array

# Bounds the memory of the activations.
_BATCH = 64
# Average drop and increase take two forward passes a picture for each of three kinds of map: with
# one in 60 validation pictures, a tenth of a validation.
_ONE_IN = 60


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

    Works in evaluation mode and leaves gradients, modes and statistics alone. In a distributed fit
    the first process draws. Logs, after every validation:

    - ``cam_average_drop`` and ``cam_increase`` of the network's confidence when it sees only what
      the map marks, and the same of a random map (``_random_map``) and of a blob in
      the middle (``_centre``), for comparison (Chattopadhay et al., "Grad-CAM++", WACV 2018); over
      one in 60 validation pictures, to cost no more than a tenth of the validation, but over 8;
    - ``cam_energy_on_fish`` and ``cam_pointing_game`` where the data has masks.

    Args:
        every_n_epochs: draw in epochs that are a multiple of this; the numbers come every time.
        layer: dotted name in the network, or None for its last block.
        pictures: pictures on the sheet.
        measured: pictures over which the numbers are averaged; drop and increase, at most.
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
            datamodule = _datamodule(trainer)
            self._explain(_classifier(pl_module), datamodule, self._sample(datamodule, 1))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the sheet and log the numbers."""
        if trainer.sanity_checking or trainer.state.fn != "fit" or not trainer.is_global_zero:
            return
        classifier, datamodule = _classifier(pl_module), _datamodule(trainer)
        epoch = trainer.current_epoch + 1
        draw = epoch % self.every_n_epochs == 0
        has_masks = datamodule.datasets["val"].with_masks
        faithful = max(MIN_IMAGES, min(self.measured, len(datamodule.datasets["val"]) // _ONE_IN))
        pointing = max(self.pictures, self.measured) if has_masks else 0
        size = max(faithful, pointing, self.pictures if draw else 0)
        maps = self._explain(classifier, datamodule, self._sample(datamodule, size))
        numbers = self._faithfulness(classifier, maps, faithful)
        if maps.masks is not None:
            measured = maps.cam.maps[:pointing], maps.masks[:pointing]
            numbers["cam_energy_on_fish"] = energy_inside(*measured).nanmean()
            numbers["cam_pointing_game"] = pointing_hit(*measured).nanmean()
        for name, value in numbers.items():
            pl_module.log(name, value, logger=False, rank_zero_only=True)
        if draw and isinstance(trainer.logger, TensorBoardLogger):
            figure = self._sheet(maps, classifier.classes, f"Grad-CAM after epoch {epoch}")
            trainer.logger.experiment.add_image(
                "grad_cam", figure_to_array(figure), epoch, dataformats="HWC"
            )

    def sheet(self, classifier: FishClassifier, datamodule: FishDataModule, title: str) -> Figure:
        """Draw the same pictures as during the fit, as another network sees them."""
        maps = self._explain(classifier, datamodule, self._sample(datamodule, self.pictures))
        return self._sheet(maps, classifier.classes, title)

    def _sample(self, datamodule: FishDataModule, size: int) -> list[int]:
        """Positions of validation pictures; a smaller sample is the beginning of a larger one."""
        labels = datamodule.images.labels[datamodule.split.val]
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

    def _faithfulness(
        self, classifier: FishClassifier, maps: _Maps, count: int
    ) -> dict[str, Tensor]:
        """Average drop and increase in confidence of the first maps, and of both baselines."""
        images = maps.images[:count].to(classifier.device)
        targets = maps.cam.logits[:count].argmax(1).to(images.device)
        shape = (len(images), images.shape[-2], images.shape[-1])
        kinds = {
            "": maps.cam.maps[:count],
            "_random_map": random_maps(shape, torch.Generator().manual_seed(self.seed)),
            "_centre": centre_maps(shape),
        }
        numbers = {}
        with torch.compiler.set_stance("force_eager"):  # a compiled one, for another batch size
            for name, kind in kinds.items():
                alone = average_drop_and_increase(
                    classifier, images, kind.to(images.device), targets
                )
                numbers[f"cam_average_drop{name}"] = alone.drop.mean()
                numbers[f"cam_increase{name}"] = alone.increase.mean()
        return numbers

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
