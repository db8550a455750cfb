import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from fitting import events, small_trainer
from networks import small_classifier
from pytorch_lightning.callbacks import EMAWeightAveraging
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from fishcnn.cam.faithfulness import average_drop_and_increase
from fishcnn.cam.maps import grad_cam
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.splitting.sampling import stratified_sample
from fishcnn.models.classifier import FishClassifier
from fishcnn.training.callbacks.grad_cam import GradCam
from fishcnn.training.callbacks.history import History
from fishcnn.training.writer import tag_of
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import RunFolder

pytestmark = [
    # Batches are gathered from memory: worker processes would only copy them.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning 2.6 meets a newer torch.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


def test_a_sample_takes_each_class_before_it_takes_one_twice() -> None:
    labels = np.array([0] * 50 + [1] * 3 + [2] * 2)
    sample = stratified_sample(labels, size=7, seed=0)
    assert sorted(labels[sample[:3]].tolist()) == [0, 1, 2]
    assert sorted(labels[sample[:6]].tolist()) == [0, 0, 1, 1, 2, 2]
    assert len(set(sample)) == 7
    assert sample == stratified_sample(labels, size=7, seed=0)
    assert sample != stratified_sample(labels, size=7, seed=1)
    assert sample[:3] == stratified_sample(labels, size=3, seed=0)
    assert len(stratified_sample(labels, size=100, seed=0)) == 55


@pytest.fixture
def classifier(datamodule: FishDataModule) -> FishClassifier:
    return small_classifier(datamodule.classes, mean=datamodule.mean, std=datamodule.std)


def callback(**changes: Any) -> GradCam:
    return GradCam(**{"pictures": 4, "measured": 6, **changes})


def fit(
    classifier: FishClassifier,
    datamodule: FishDataModule,
    folder: Path,
    *callbacks: pl.Callback,
    **changes: Any,
) -> EventAccumulator:
    trainer = small_trainer(folder, *callbacks, History(RunFolder(folder)), **changes)
    trainer.fit(classifier, datamodule=datamodule)
    return events(folder)


@pytest.mark.parametrize(("every", "epochs"), [(1, [1, 2, 3, 4]), (2, [2, 4])])
def test_one_sheet_is_drawn_every_n_epochs(
    classifier: FishClassifier,
    datamodule: FishDataModule,
    tmp_path: Path,
    every: int,
    epochs: list[int],
) -> None:
    events = fit(classifier, datamodule, tmp_path, callback(every_n_epochs=every), max_epochs=4)
    assert events.Tags()["images"] == ["cam/grad_cam"]
    assert [event.step for event in events.Images("cam/grad_cam")] == epochs
    # The share of the energy on the fish is measured in every epoch.
    for tag in ("cam/energy_on_fish", "cam/pointing_game"):
        values = [event.value for event in events.Scalars(tag)]
        assert len(values) == 4
        assert all(0 <= value <= 1 for value in values)


FAITHFUL = ["cam_average_drop", "cam_average_drop_random_map"]


@pytest.mark.parametrize("masks", [True, False])
def test_the_average_drop_of_the_first_maps_is_logged_in_every_epoch(
    classifier: FishClassifier, datamodule: FishDataModule, tmp_path: Path, masks: bool
) -> None:
    if not masks:
        datamodule.images.masks = None
    events = fit(classifier, datamodule, tmp_path, callback(every_n_epochs=3))
    for tag in FAITHFUL:
        values = [event.value for event in events.Scalars(tag_of(tag))]
        assert len(values) == 2, tag
        assert all(0 <= value <= 1 for value in values)
    with (tmp_path / "metrics.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert all(last[tag] for tag in FAITHFUL)
    # Of 9 validation images, 8 are the fewest that are measured.
    labels = datamodule.images.labels[datamodule.split.val]
    sample = stratified_sample(labels, size=8, seed=0)
    images = datamodule.batch("val", sample, torch.device("cpu"))["image"]
    result = grad_cam(classifier.network, classifier.normalize(images), layer="blocks.1.2")
    expected = average_drop_and_increase(
        classifier, images, result.maps, result.logits.argmax(1)
    ).drop.mean()
    assert float(last["cam_average_drop"]) == pytest.approx(float(expected), abs=1e-5)


def test_the_numbers_are_of_a_share_of_the_images_so_that_they_cost_little(
    classifier: FishClassifier,
    datamodule: FishDataModule,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = []
    monkeypatch.setattr(
        "fishcnn.training.callbacks.grad_cam._ONE_IN", 1
    )  # as if there were 60 times more
    monkeypatch.setattr(
        "fishcnn.training.callbacks.grad_cam.average_drop_and_increase",
        lambda model, images, maps, targets: (
            counts.append(len(images)) or average_drop_and_increase(model, images, maps, targets)
        ),
    )
    for measured in (128, 5):
        fit(classifier, datamodule, tmp_path, callback(measured=measured), max_epochs=1)
    # One in 60 of them, with no more than `measured` and no fewer than 8.
    assert counts == [9] * 2 + [8] * 2


def test_a_compiled_network_is_not_compiled_again_for_the_numbers(
    classifier: FishClassifier, datamodule: FishDataModule
) -> None:
    graphs = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        graphs.append(graph)
        return graph.forward

    maps = callback()._explain(classifier, datamodule, [0, 1, 2])
    classifier.eval()
    expected = callback()._faithfulness(classifier, maps, 3)
    classifier.network.compile(backend=backend)
    found = callback()._faithfulness(classifier, maps, 3)
    assert not graphs
    for name in FAITHFUL:
        assert float(found[name]) == pytest.approx(float(expected[name]), abs=1e-6)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_fit_that_is_watched_ends_with_the_same_weights(
    classifier: FishClassifier, datamodule: FishDataModule, tmp_path: Path, precision: str
) -> None:
    ends = []
    start = {name: value.clone() for name, value in classifier.state_dict().items()}
    for watched in ([], [callback()]):
        classifier.load_state_dict(start)
        pl.seed_everything(0, verbose=False)
        fit(classifier, datamodule, tmp_path / str(len(watched)), *watched, precision=precision)
        ends.append({name: value.clone() for name, value in classifier.state_dict().items()})
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name]), name
    assert not torch.equal(start["network.blocks.0.0.weight"], ends[0]["network.blocks.0.0.weight"])


def test_a_compiled_network_with_frozen_layers_is_explained_as_well(
    classifier: FishClassifier, datamodule: FishDataModule, tmp_path: Path
) -> None:
    plain = callback()._explain(classifier, datamodule, [0, 1, 2])
    classifier.network.get_submodule("blocks.0").requires_grad_(False)
    classifier.network.compile(backend="eager")
    classifier.eval()(torch.rand(2, 3, 16, 16))
    compiled = callback()._explain(classifier, datamodule, [0, 1, 2])
    assert torch.allclose(plain["maps"], compiled["maps"], atol=1e-6)


def test_the_averaged_weights_are_explained_where_they_are_kept(
    classifier: FishClassifier, datamodule: FishDataModule, tmp_path: Path
) -> None:
    explained: list[torch.Tensor] = []

    class Noted(GradCam):
        def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            explained.append(module.get_parameter("network.blocks.0.0.weight").detach().clone())
            super().on_validation_epoch_end(trainer, module)

    watched = Noted(pictures=2, measured=2)
    # A decay of 1 keeps the weights of the first step for ever.
    averaged = EMAWeightAveraging(decay=1.0)
    fit(classifier, datamodule, tmp_path, watched, averaged, max_epochs=3)
    assert torch.equal(explained[0], explained[2])


def test_a_layer_can_be_chosen_and_a_wrong_one_is_named_before_training(
    classifier: FishClassifier, datamodule: FishDataModule, tmp_path: Path
) -> None:
    first = callback(layer="blocks.0")._explain(classifier, datamodule, [0, 1])
    last = callback(layer="blocks.1.2")._explain(classifier, datamodule, [0, 1])
    default = callback()._explain(classifier, datamodule, [0, 1])
    assert torch.equal(last["maps"], default["maps"])
    assert not torch.allclose(first["maps"], last["maps"])
    start = classifier.network.get_parameter("blocks.0.0.weight").clone()
    with pytest.raises(FishError, match=r"^layer=blocks.7: .*blocks.1"):
        fit(classifier, datamodule, tmp_path, callback(layer="blocks.7"))
    assert torch.equal(start, classifier.network.get_parameter("blocks.0.0.weight"))


def test_nothing_but_negative_evidence_gives_an_empty_map_and_no_nan(
    classifier: FishClassifier, datamodule: FishDataModule
) -> None:
    head = classifier.network.get_submodule("head.3")
    assert isinstance(head, nn.Linear)
    nn.init.constant_(head.weight, -1.0)
    maps = callback()._explain(classifier, datamodule, [0, 1])
    assert float(maps["maps"].abs().max()) == 0.0
