"""A person who asks for all layers sees one of each depth."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import (
    alexnet,
    inception_v3,
    mobilenet_v3_small,
    resnet18,
    resnet50,
    swin_t,
)

from fishcnn.cam.layers import block_layers
from fishcnn.cam.maps import class_activation_maps
from fishcnn.models.networks.cnn import FishCNN


def noise(n: int, size: int) -> Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("head", ["flatten", "gap"])
def test_the_layers_of_our_network_are_its_blocks(head: str) -> None:
    model = FishCNN(
        num_classes=3,
        image_size=16,
        blocks=3,
        base_channels=4,
        max_channels=8,
        head=head,
        hidden=4,
        dropout=0.0,
    )
    assert block_layers(model) == ["blocks.0", "blocks.1", "blocks.2"]
    maps = class_activation_maps(model, noise(4, 16), layers=block_layers(model), method="layercam")
    assert maps.maps.shape == (4, 3, 16, 16)


@pytest.mark.parametrize(
    ("build", "size", "layers"),
    [
        (resnet18, 64, ["relu", "layer1", "layer2", "layer3", "layer4"]),
        # Its last stage has one pixel left.
        (resnet18, 32, ["relu", "layer1", "layer2", "layer3"]),
        # Its blocks halve in their second convolution, not in their first.
        (resnet50, None, ["relu", "layer1", "layer2", "layer3", "layer4"]),
        (
            mobilenet_v3_small,
            64,
            ["features.0", "features.1", "features.3", "features.8", "features"],
        ),
        # What its adaptive pooling enlarges again is no stage.
        (alexnet, 64, ["features.1", "features.4", "features.11"]),
        # Its channels come last, until the end.
        (swin_t, 64, ["features.1", "features.3", "features.5", "permute"]),
    ],
)
def test_the_layers_of_a_backbone_are_its_stages(
    build: Callable[..., nn.Module], size: int | None, layers: list[str]
) -> None:
    model = build(weights=None, num_classes=3)
    assert block_layers(model, None if size is None else noise(2, size)) == layers


def test_borders_lost_in_convolutions_make_no_stage() -> None:
    model = inception_v3(num_classes=3, aux_logits=False, init_weights=False)
    assert block_layers(model, noise(2, 96)) == [
        "Conv2d_2b_3x3",
        "Conv2d_4a_3x3",
        "Mixed_5d",
        "Mixed_6e",
    ]
