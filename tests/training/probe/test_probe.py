"""The head of a pretrained network is filled from its features, which are computed once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.decoding.resize import resize
from fishcnn.models.classifier import FishClassifier
from fishcnn.models.networks import build_network
from fishcnn.training.probe import features as features_file
from fishcnn.training.probe.features import image_features, training_features
from fishcnn.training.probe.probe import fill_head, probed_head
from fishcnn.utils.errors import ArgumentError

# The second averages the logits of two layers, each with an input of its own.
NETWORKS = ["resnet10t", "deit_tiny_distilled_patch16_224"]


def built(fish: Path, recipe: Recipe, root: Path, **settings: Any) -> FishDataModule:
    return FishDataModule(
        fish / "pictures",
        recipe=recipe,
        image_size=32,
        normalize="imagenet",
        cache_root=root,
        workers=1,
        **settings,
    )


def classifier_of(
    module: FishDataModule, seed: int = 0, architecture: str = NETWORKS[0]
) -> FishClassifier:
    torch.manual_seed(seed)
    model = {"name": "timm", "architecture": architecture}
    classifier = FishClassifier.for_data(module, model=model)
    network: Any = classifier.network
    network.pretrained = True  # random ones for the sake of time
    return classifier


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each computation had."""
    counts: list[int] = []
    compute = features_file._compute

    def count(*args: Any) -> Any:
        counts.append(len(args[-1]))
        return compute(*args)

    monkeypatch.setattr(features_file, "_compute", count)
    return counts


@pytest.mark.parametrize("architecture", NETWORKS)
def test_features_are_what_the_head_is_given_of_the_image_and_of_its_mirror_image(
    fish: Path, plain_recipe: Recipe, tmp_path: Path, architecture: str
) -> None:
    module = built(fish, plain_recipe, tmp_path)
    classifier = classifier_of(module, architecture=architecture)
    head, *others = probed_head(classifier.network)
    for other in others:
        other.load_state_dict(head.state_dict())
    found = training_features(classifier, module)
    assert found.shape == (len(module.split.train), 2, head.in_features)
    classifier.eval()
    index = torch.from_numpy(module.split.train[[3]])
    batch = resize(module.images.gather(index)["image"], module.image_size)
    with torch.no_grad():
        for view, images in enumerate((batch, batch.flip(3))):
            logits = nn.functional.linear(found[3, view], head.weight, head.bias)
            assert torch.allclose(logits, classifier(images)[0], atol=1e-4)


def test_features_are_computed_once_for_the_same_weights_and_shared_by_folds(
    fish: Path, plain_recipe: Recipe, tmp_path: Path, ran: list[int]
) -> None:
    first = built(fish, plain_recipe, tmp_path, folds=3, fold=0)
    found = training_features(classifier_of(first), first)
    for _ in range(2):
        # Another head, as any new run has, is not another network.
        classifier = classifier_of(first)
        (head,) = probed_head(classifier.network)
        nn.init.zeros_(head.weight)
        assert torch.equal(training_features(classifier, first), found)
    assert ran == [24]
    second = built(fish, plain_recipe, tmp_path, folds=3, fold=1)
    classifier = classifier_of(second)
    training_features(classifier, second)
    assert ran == [24, 12]
    other = classifier_of(first, seed=1)
    training_features(other, first)
    assert ran == [24, 12, 24]


def test_features_of_any_images_are_those_of_training_where_they_are_in_it(
    fish: Path, plain_recipe: Recipe, tmp_path: Path, ran: list[int]
) -> None:
    module = built(fish, plain_recipe, tmp_path)
    classifier = classifier_of(module)
    trained = training_features(classifier, module)
    rows = np.arange(36)
    found = image_features(classifier, module.images, rows, tmp_path / "features")
    assert torch.equal(found[module.split.train], trained)
    assert ran == [len(trained), 36 - len(trained)]


@pytest.mark.parametrize("damage", [b"", b"junk"])
def test_damaged_features_are_computed_again(
    fish: Path,
    plain_recipe: Recipe,
    tmp_path: Path,
    ran: list[int],
    damage: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    module = built(fish, plain_recipe, tmp_path)
    classifier = classifier_of(module)
    before = training_features(classifier, module)
    (file,) = (tmp_path / "features").iterdir()
    content = file.read_bytes()
    file.write_bytes(content[:-500] + damage * 10 + content[-500:] if damage else damage)
    assert torch.equal(training_features(classifier, module), before)
    assert len(ran) == 2
    assert "is damaged" in caplog.text


def test_nothing_is_kept_where_no_images_are(
    fish: Path, plain_recipe: Recipe, tmp_path: Path
) -> None:
    module = built(fish, plain_recipe, tmp_path, cache="ram")
    classifier = classifier_of(module)
    training_features(classifier, module)
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize(
    ("architecture", "names"), [(NETWORKS[0], ["fc"]), (NETWORKS[1], ["head", "head_dist"])]
)
def test_a_probe_fills_the_head_and_leaves_the_backbone(
    fish: Path, plain_recipe: Recipe, tmp_path: Path, architecture: str, names: list[str]
) -> None:
    module = built(fish, plain_recipe, tmp_path)
    classifier = classifier_of(module, architecture=architecture)
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    fill_head(classifier, module, torch.device("cpu"))
    changed = {n for n, v in classifier.state_dict().items() if not torch.equal(v, before[n])}
    layers = [f"network.backbone.{name}.{what}" for name in names for what in ("weight", "bias")]
    assert changed == {*layers}
    batch = module.batch("train", list(range(27)), torch.device("cpu"))
    right = classifier.eval()(batch["image"]).argmax(1) == batch["label"]
    assert right.float().mean() > 0.45  # chance is a third, and random weights see little


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"name": "cnn"}, "probe=true: needs a pretrained network"),
        ({"name": "timm"}, "probe=true: needs a pretrained network"),
        (
            {"name": "torchvision", "architecture": "squeezenet1_1", "pretrained": True},
            "squeezenet1_1 has no linear layer at its end",
        ),
    ],
)
def test_a_network_that_cannot_be_probed_is_refused(model: dict[str, Any], message: str) -> None:

    with pytest.raises(ArgumentError, match=message):
        probed_head(build_network(model, num_classes=2, image_size=64))
