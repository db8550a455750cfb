"""Shows after every validation where the network looks."""

from collections.abc import Sequence
from typing import Any, cast

import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from torch import Tensor

from fishcnn.cam.faithfulness import MIN_IMAGES, average_drop_and_increase, random_maps
from fishcnn.cam.layers import default_layer
from fishcnn.cam.localisation import energy_inside, pointing_hit
from fishcnn.cam.maps import grad_cam, map_cells
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.splitting.sampling import stratified_sample
from fishcnn.models.classifier import FishClassifier
from fishcnn.plots.cam_sheet import EVIDENCE, OVERLAYS, grad_cam_sheet
from fishcnn.plots.figure import figure_to_array
from fishcnn.training.writer import tensorboard_writer
from fishcnn.utils.checks import check_arguments, choice, optional, text, whole

# The columns of metrics.csv that this callback logs.
CAM_SCORES = (
    "cam_energy_on_fish",
    "cam_pointing_game",
    "cam_average_drop",
    "cam_average_drop_random_map",
)
GRAD_CAM_SETTINGS = {
    "every_n_epochs": whole(1),
    "layer": optional(text),
    "pictures": whole(1, 1000),
    "overlay": choice(*OVERLAYS),
    "measured": whole(1),
    "seed": whole(0, 2**32 - 1),
}
# Bounds the memory of the activations.
_BATCH = 64
# The average drop takes two forward passes for each of two kinds of map: with one in 60 validation
# images, a fifteenth of a validation.
_ONE_IN = 60
# Of some validation images, on the CPU: the keys of Batch, and the maps and logits of CamResult.
_Explained = dict[str, Tensor]


class GradCam(pl.Callback):
    """Draw Grad-CAM of the same validation images after every validation.

    Works in evaluation mode and leaves gradients, modes and statistics alone. In a distributed fit
    the first process draws. Logs, after every validation:

    - ``cam_average_drop``, the share of its confidence that the network loses when it sees only
      what the map marks, and the same of a random map (``cam_average_drop_random_map``), which is
      what chance gives (Chattopadhay et al., "Grad-CAM++", WACV 2018); over one in 60 validation
      images, to cost no more than a fifteenth of the validation, but at least 8;
    - ``cam_energy_on_fish`` and ``cam_pointing_game`` where the data has masks.

    Args:
        every_n_epochs: draw in epochs that are a multiple of this; the numbers come every time.
        layer: dotted name in the network, or None for `default_layer`.
        pictures: images on the sheet.
        overlay: ``"evidence"`` keeps an image's own colours where there is none, ``"blend"`` mixes
            0.6 of the image with 0.4 of the heat map everywhere.
        measured: images over which the numbers are averaged; for the average drop, at most.
        seed: of the choice of images.

    Raises:
        ArgumentError: an argument is out of range, or, when a fit starts, the network has no such
            layer.
    """

    def __init__(
        self,
        *,
        every_n_epochs: int = 1,
        layer: str | None = None,
        pictures: int = 8,
        overlay: str = EVIDENCE,
        measured: int = 128,
        seed: int = 0,
    ) -> None:
        check_arguments(locals(), GRAD_CAM_SETTINGS)
        self.every_n_epochs = every_n_epochs
        self.layer = layer
        self.pictures = pictures
        self.overlay = overlay
        self.measured = measured
        self.seed = seed

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Fail on a layer that does not exist before the first epoch rather than after it."""
        classifier = cast(FishClassifier, pl_module).whole()
        if trainer.is_global_zero:
            datamodule = _datamodule(trainer)
            self._explain(classifier, datamodule, self._sample(datamodule, 1))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the sheet and log the numbers."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        classifier, datamodule = cast(FishClassifier, pl_module).whole(), _datamodule(trainer)
        if not trainer.is_global_zero:
            return
        epoch = trainer.current_epoch + 1
        draw = epoch % self.every_n_epochs == 0
        has_masks = datamodule.datasets["val"].with_masks
        faithful = max(MIN_IMAGES, min(self.measured, len(datamodule.datasets["val"]) // _ONE_IN))
        pointing = max(self.pictures, self.measured) if has_masks else 0
        size = max(faithful, pointing, self.pictures if draw else 0)
        explained = self._explain(classifier, datamodule, self._sample(datamodule, size))
        scores = self._faithfulness(classifier, explained, faithful)
        if "mask" in explained:
            measured = explained["maps"][:pointing], explained["mask"][:pointing]
            scores["cam_energy_on_fish"] = energy_inside(*measured).nanmean()
            scores["cam_pointing_game"] = pointing_hit(*measured).nanmean()
        for name, value in scores.items():
            pl_module.log(name, value, logger=False, rank_zero_only=True)
        if draw and (writer := tensorboard_writer(trainer)):
            title = f"Grad-CAM after epoch {epoch}"
            figure = self._sheet(explained, classifier, title, narrow=True)
            writer.add_image("cam/grad_cam", figure_to_array(figure), epoch, dataformats="HWC")

    def sheet(self, classifier: FishClassifier, datamodule: FishDataModule, title: str) -> Figure:
        """Draw the same images as during the fit, as another network sees them."""
        explained = self._explain(classifier, datamodule, self._sample(datamodule, self.pictures))
        return self._sheet(explained, classifier, title)

    def _sample(self, datamodule: FishDataModule, size: int) -> list[int]:
        """Positions of validation images; a smaller sample is the beginning of a larger one."""
        labels = datamodule.images.labels[datamodule.split.val]
        return stratified_sample(labels, size=size, seed=self.seed)

    def _explain(
        self, classifier: FishClassifier, datamodule: FishDataModule, positions: Sequence[int]
    ) -> _Explained:
        """Explain validation images; ``positions`` count within that split."""
        parts: list[dict[str, Any]] = []
        layer = self.layer
        for start in range(0, len(positions), _BATCH):
            chunk = list(positions[start : start + _BATCH])
            batch = datamodule.batch("val", chunk, classifier.device)
            images = classifier.normalize(batch["image"])
            layer = layer or default_layer(classifier.network, images)
            cam = grad_cam(classifier.network, images, layer=layer)
            parts.append({**batch, "maps": cam.maps, "logits": cam.logits})
        return {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}

    def _faithfulness(
        self, classifier: FishClassifier, explained: _Explained, count: int
    ) -> dict[str, Tensor]:
        """Average drop in confidence of the first maps, and of random ones."""
        images = explained["image"][:count].to(classifier.device)
        targets = explained["logits"][:count].argmax(1).to(images.device)
        shape = (len(images), images.shape[-2], images.shape[-1])
        chance = random_maps(shape, torch.Generator().manual_seed(self.seed))
        kinds = {"cam_average_drop": explained["maps"], "cam_average_drop_random_map": chance}
        with torch.compiler.set_stance("force_eager"):  # a compiled one, for another batch size
            return {
                name: average_drop_and_increase(
                    classifier, images, kind[:count].to(images.device), targets
                ).drop.mean()
                for name, kind in kinds.items()
            }

    def _sheet(
        self,
        explained: _Explained,
        classifier: FishClassifier,
        title: str,
        *,
        narrow: bool = False,
    ) -> Figure:
        classes, network = classifier.classes, classifier.network
        example = classifier.normalize(explained["image"][:1].to(classifier.device))
        layer = self.layer or default_layer(network, example)
        shown = {name: values[: self.pictures] for name, values in explained.items()}
        probabilities, predicted = shown["logits"].softmax(1).max(1)
        return grad_cam_sheet(
            shown["image"].permute(0, 2, 3, 1).numpy(),
            shown["maps"].numpy(),
            [classes[k] for k in shown["label"].tolist()],
            [classes[k] for k in predicted.tolist()],
            probabilities.tolist(),
            title,
            cells=map_cells(network, example, layer),
            style=self.overlay,
            narrow=narrow,
        )


def _datamodule(trainer: pl.Trainer) -> FishDataModule:
    return cast(FishDataModule, trainer.datamodule)  # type: ignore[attr-defined]
