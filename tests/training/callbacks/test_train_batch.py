from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from fitting import events, small_trainer
from networks import small_classifier

from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.datamodule import FishDataModule
from fishcnn.models.classifier import FishClassifier
from fishcnn.training.callbacks.train_batch import TrainBatch
from fishcnn.utils.errors import FishError

pytestmark = [
    # Batches are gathered from memory: worker processes would only copy them.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning 2.6 meets a newer torch.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


@pytest.fixture
def mixed(fish: Path, plain_recipe: Recipe) -> FishDataModule:
    """Rendered fish, turned and mixed."""
    recipe = replace(plain_recipe, rotation=90.0, mixup=0.5, cutmix=1.0)
    module = FishDataModule(fish / "pictures", recipe=recipe, image_size=16, batch_size=9)
    module.setup()
    return module


class Network(torch.nn.Module):
    """Keeps what it is given in training."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        self.given: list[torch.Tensor] = []

    @property
    def head(self) -> torch.nn.Module:
        return self.network.head

    def forward(self, images: torch.Tensor) -> Any:
        if self.training:
            self.given.append(images.clone())
        return self.network(images)


def fitted(module: FishDataModule, folder: Path, *callbacks: pl.Callback) -> FishClassifier:
    pl.seed_everything(0, verbose=False)
    classifier = small_classifier(module.classes, mean=module.mean, std=module.std)
    classifier.network = Network(classifier.network)
    small_trainer(folder, *callbacks).fit(classifier, datamodule=module)
    return classifier


def test_what_is_drawn_is_what_the_network_gets(mixed: FishDataModule, tmp_path: Path) -> None:
    callback = TrainBatch(pictures=4)
    classifier = fitted(mixed, tmp_path, callback)
    first = classifier.network.given[0][:4] * classifier.std + classifier.mean
    figure = callback.sheet(mixed.classes)
    assert figure is not None
    (page,) = figure.axes[0].images
    pixels = np.asarray(page.get_array())
    drawn = (first.clamp(0, 1) * 255 + 0.5).byte().permute(0, 2, 3, 1).numpy().astype(int)
    for image in drawn:
        tile = image.repeat(8, 0).repeat(8, 1)
        rows, columns = np.nonzero(abs(pixels.astype(int) - tile[0, 0]).max(2) <= 1)
        places = [(y, x) for y, x in zip(rows, columns, strict=True) if y + 128 < len(pixels)]
        windows = (pixels[y : y + 128, x : x + 128] for y, x in places)
        assert any(w.shape == tile.shape and abs(w - tile).max() <= 1 for w in windows)
    labels = [text.get_text() for text in figure.axes[0].texts[1:]]
    assert any("%" in label for label in labels)
    seen = events(tmp_path)
    assert [event.step for event in seen.Images("train/batch")] == [1]


def test_a_run_gives_the_same_network_with_and_without(
    mixed: FishDataModule, tmp_path: Path
) -> None:
    plain_run = fitted(mixed, tmp_path / "without").state_dict()
    drawn = fitted(mixed, tmp_path / "with", TrainBatch()).state_dict()
    assert all(torch.equal(value, drawn[name]) for name, value in plain_run.items())


def test_nothing_is_drawn_of_a_fit_that_has_not_begun() -> None:
    assert TrainBatch().sheet(["Rui"]) is None


def test_the_number_of_images_is_checked() -> None:
    with pytest.raises(FishError, match="pictures"):
        TrainBatch(pictures=0)
