"""Networks that start from the weights of others, through the command line."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command
from omegaconf import OmegaConf

from fishcnn.commands.build import compose_config
from fishcnn.commands.settings import plain
from fishcnn.models.classifier import FishClassifier
from fishcnn.models.pretrained import efficientnet_lite


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
    assert drawn["image_size"] == (64 if size == 128 else size)


def test_a_run_from_packaged_weights_says_what_it_begins_with_and_needs_them_never_again(
    train: Command, script: Command, photos: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = "data.image_size=64"  # quicker
    ended = train(*photos, size, "model=timm", "model.pretrained=true", "hydra.run.dir=run")
    assert ended.status == 0, ended.err
    said = [line for line in (ended.out + ended.err).splitlines() if "starts from weights" in line]
    assert len(said) == 1
    assert "images of 224 pixels" in said[0]
    assert "data.image_size=64, data.normalize=[[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]" in said[0]
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
