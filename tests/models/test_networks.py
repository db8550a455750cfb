from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import nn

from fishcnn.models.networks import build_network, check_network
from fishcnn.models.networks.cnn import ConvBlock
from fishcnn.models.networks.torchvision import TorchvisionNetwork
from fishcnn.utils.errors import ArgumentError

CNN: dict[str, Any] = {
    "name": "cnn",
    "blocks": 3,
    "base_channels": 8,
    "max_channels": 16,
    "head": "flatten",
    "hidden": 12,
    "dropout": 0.5,
}
RESNET: dict[str, Any] = {
    "name": "torchvision",
    "architecture": "resnet18",
    "pretrained": False,
    "freeze_backbone": False,
}


@pytest.mark.parametrize("head", ["flatten", "gap"])
@pytest.mark.parametrize(("blocks", "size"), [(1, 2), (3, 8), (3, 50), (4, 33), (5, 127)])
def test_any_image_size_fits_any_head(head: str, blocks: int, size: int) -> None:
    config = {**CNN, "blocks": blocks, "head": head}
    network = build_network(config, num_classes=7, image_size=size)
    assert network.eval()(torch.rand(2, 3, size, size)).shape == (2, 7)


def test_channels_double_up_to_their_maximum() -> None:
    network = build_network({**CNN, "blocks": 4}, num_classes=2, image_size=16)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [8, 16, 16, 16]


@pytest.mark.parametrize("training", [True, False])
def test_a_block_is_convolution_batch_norm_relu_and_pooling(training: bool) -> None:
    torch.manual_seed(0)
    block = ConvBlock(3, 8).train(training)
    kinds = [type(module) for module in block]
    assert sorted(kind.__name__ for kind in kinds) == ["BatchNorm2d", "Conv2d", "MaxPool2d", "ReLU"]
    # Where the ReLU stands makes no difference but for the time.
    usual = nn.Sequential(block[0], block[1], nn.ReLU(), nn.MaxPool2d(2))
    images = torch.randn(4, 3, 16, 16)
    outputs, gradients = [], []
    for network in (block, usual):
        block.zero_grad()
        output = network(images)
        output.square().sum().backward()
        outputs.append(output.detach())
        gradients.append([parameter.grad.clone() for parameter in block.parameters()])
    assert torch.equal(outputs[0], outputs[1])
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.equal(ours, theirs)


def test_the_flatten_head_of_the_recipe_has_the_sizes_of_the_recipe() -> None:
    config = {**CNN, "blocks": 4, "base_channels": 32, "max_channels": 512, "hidden": 512}
    network = build_network(config, num_classes=20, image_size=128)
    linear = [m for m in network.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [(256 * 8 * 8, 512), (512, 20)]


@pytest.mark.parametrize(
    ("changes", "size", "message"),
    [
        ({"blocks": 0}, 128, "blocks=0: must be a whole number, 1 or more"),
        ({"blocks": 8}, 128, "use 7 blocks or fewer"),
        ({"blocks": 6}, 50, "use 5 blocks or fewer"),
        ({"head": "mlp"}, 32, "head=mlp: choose one of flatten, gap"),
        ({"name": "vit"}, 32, "model=vit: choose one of cnn, timm, torchvision"),
        ({"depth": 3}, 32, "depth=3: the network cnn takes blocks, base_channels,"),
    ],
)
def test_impossible_networks_are_refused(changes: dict[str, Any], size: int, message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        check_network({**CNN, **changes}, image_size=size)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "architecture",
    ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5", "regnet_y_400mf"],
)
def test_torchvision_networks_get_a_head_for_the_classes_at_hand(architecture: str) -> None:
    config = {**RESNET, "architecture": architecture}
    network = build_network(config, num_classes=7, image_size=64)
    assert network.eval()(torch.rand(2, 3, 64, 64)).shape == (2, 7)


def test_a_transformer_takes_the_image_size_it_is_given() -> None:
    network = build_network({**RESNET, "architecture": "vit_b_32"}, num_classes=3, image_size=64)
    assert network.eval()(torch.rand(1, 3, 64, 64)).shape == (1, 3)


@pytest.mark.parametrize("size", [1, 33])
def test_a_regnet_takes_any_image_size(size: int) -> None:
    config = {"name": "torchvision", "architecture": "regnet_y_400mf"}
    check_network(config, image_size=size)
    network = build_network(config, num_classes=3, image_size=size)
    assert network.eval()(torch.rand(1, 3, size, size)).shape == (1, 3)


@pytest.mark.parametrize("config", [CNN, RESNET])
def test_a_check_builds_no_weights(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[bool] = []
    register = nn.Module.register_parameter

    def note(self: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        built.append(parameter is not None and not parameter.is_meta)
        register(self, name, parameter)

    monkeypatch.setattr(nn.Module, "register_parameter", note)
    check_network(config, image_size=64)
    assert not any(built)
    build_network(config, num_classes=3, image_size=64)
    assert any(built)


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({"architecture": "vit_b_32", "pretrained": True}, 64),
        ({"architecture": "alexnet"}, 32),
        ({"architecture": "inception_v3"}, 32),
    ],
)
def test_an_image_size_that_does_not_suit_is_named(changes: dict[str, Any], size: int) -> None:
    with pytest.raises(
        ArgumentError, match=rf"image_size={size}: .* does not take .*\d\d\d suits it"
    ):
        check_network({**RESNET, **changes}, image_size=size)


@pytest.mark.parametrize("architecture", ["googlenet", "inception_v3"])
def test_networks_with_auxiliary_heads_train_without_them(architecture: str) -> None:
    config = {**RESNET, "architecture": architecture}
    network = build_network(config, num_classes=3, image_size=80)
    assert network.train()(torch.rand(2, 3, 80, 80)).shape == (2, 3)


def test_an_unknown_architecture_is_answered_with_its_neighbours() -> None:
    with pytest.raises(ArgumentError, match=r"architecture=resnet19.*resnet18"):
        check_network({**RESNET, "architecture": "resnet19"}, image_size=64)


def test_a_frozen_backbone_keeps_weights_and_statistics_and_its_head_learns() -> None:
    network = build_network({**RESNET, "freeze_backbone": True}, num_classes=3, image_size=32)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    trained = [p for p in network.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) == 512 * 3 + 3
    optimizer = torch.optim.SGD(trained, lr=0.1)
    network(torch.rand(4, 3, 32, 32)).square().sum().backward()
    optimizer.step()
    changed = {n for n, v in network.state_dict().items() if not torch.equal(v, before[n])}
    assert changed == {"backbone.fc.weight", "backbone.fc.bias"}


def test_weights_that_cannot_be_downloaded_say_where_to_place_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", offline)
    network = TorchvisionNetwork(
        num_classes=3, image_size=64, architecture="resnet18", pretrained=True
    )
    with pytest.raises(ArgumentError) as error:
        network.load_pretrained()
    assert "resnet18-f37072fd.pth" in str(error.value)
    assert f"{torch.hub.get_dir()}/checkpoints" in str(error.value)


def test_pretrained_weights_fill_the_backbone_and_leave_the_new_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = torchvision.models.resnet18(weights=None)
    monkeypatch.setattr(
        torchvision.models._api, "load_state_dict_from_url", lambda *a, **k: original.state_dict()
    )
    network = TorchvisionNetwork(
        num_classes=3, image_size=64, architecture="resnet18", pretrained=True
    )
    head = network.backbone.get_submodule("fc").get_parameter("weight").clone()
    network.load_pretrained()
    assert torch.equal(network.backbone.get_parameter("conv1.weight"), original.conv1.weight)
    assert torch.equal(network.backbone.get_parameter("fc.weight"), head)
