"""A person who asks for all layers sees one of each depth."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torchvision.models import (
    alexnet,
    inception_v3,
    mobilenet_v3_small,
    resnet18,
    resnet50,
    swin_t,
    vgg11,
)

from fishcnn.cam.layers import block_layers, default_layer
from fishcnn.cam.maps import class_activation_maps, grad_cam, map_cells
from fishcnn.models.networks.cnn import FishCNN


def noise(n: int, size: int) -> Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("head", ["flatten", "gap"])
def test_the_layers_of_our_network_are_its_blocks_before_their_pooling(head: str) -> None:
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
    layers = block_layers(model, noise(2, 16))
    assert layers == ["blocks.0.2", "blocks.1.2", "blocks.2.2"]
    assert default_layer(model, noise(2, 16)) == "blocks.2.2"
    assert [map_cells(model, noise(2, 16), layer) for layer in layers] == [(16, 16), (8, 8), (4, 4)]
    maps = class_activation_maps(model, noise(4, 16), layers=layers, method="layercam")
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


def head() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)]


def conv(channels: int = 4) -> nn.Conv2d:
    return nn.Conv2d(channels, 4, 3, padding=1)


class Tutorial(nn.Module):
    """As many tutorials have it: one pooling for all, and activations without a module."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(3), conv()
        self.norm2 = nn.BatchNorm2d(4)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(4 * 4 * 4, 2)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.pool(self.conv1(images).relu())
        maps = self.pool(self.norm2(self.conv2(maps)).relu())
        return self.head(maps.flatten(1))


class OneReLU(nn.Module):
    """Its ReLU serves all layers: the head's too, or the convolutions' alone."""

    def __init__(self, *, in_head: bool) -> None:
        super().__init__()
        self.conv1, self.conv2, self.relu = conv(3), conv(), nn.ReLU()
        self.pool, self.in_head = nn.MaxPool2d(2), in_head
        self.hidden, self.head = nn.Linear(4 * 4 * 4, 8), nn.Linear(8, 2)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.pool(self.relu(self.conv1(images)))
        maps = self.pool(self.relu(self.conv2(maps)))
        hidden = self.hidden(maps.flatten(1))
        return self.head(self.relu(hidden) if self.in_head else hidden.relu())


class Attentive(nn.Module):
    """Its attention, of (N, heads, pixels, pixels), is square as well."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.softmax, self.norm = conv(3), nn.Softmax(dim=-1), nn.BatchNorm2d(4)
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(4 * 8 * 8, 2)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.conv(images)
        pixels = maps.flatten(2).mT
        attended = self.softmax((pixels @ pixels.mT)[:, None])[:, 0] @ pixels
        return self.head(self.pool(self.norm(attended.mT.view_as(maps))).flatten(1))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Sequential(conv(3), nn.ReLU(), nn.MaxPool2d(2), *head()), "1"),
        (nn.Sequential(conv(3), nn.AvgPool2d(2), nn.ReLU(), *head()), "0"),
        # What is normalised after the pooling is pooled as well.
        (nn.Sequential(conv(3), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(4), *head()), "1"),
        # A block that ends with its pooling.
        (nn.Sequential(nn.Sequential(conv(3), nn.ReLU(), nn.MaxPool2d(2)), *head()), "0.1"),
        # Pooled, and enlarged again to the size that it had.
        (
            nn.Sequential(conv(3), nn.MaxPool2d(2), nn.Upsample(scale_factor=2), *head()),
            "0",
        ),
        # A stride is a part of the convolution.
        (nn.Sequential(conv(3), nn.Conv2d(4, 4, 3, 2, 1), nn.ReLU(), *head()), "2"),
        # One that is pooled without losing pixels goes on.
        (nn.Sequential(conv(3), nn.MaxPool2d(3, 1, 1), nn.MaxPool2d(2), *head()), "1"),
        (Tutorial(), "norm2"),
        (OneReLU(in_head=False), "relu"),
        # The last call of a layer counts, and that one gives no maps.
        (OneReLU(in_head=True), "conv2"),
        # Its weight lies in a module of its own.
        (nn.Sequential(spectral_norm(conv(3)), nn.ReLU(), nn.MaxPool2d(2), *head()), "1"),
        (Attentive(), "norm"),
    ],
)
def test_the_default_layer_is_the_last_convolution_before_its_pooling(
    model: nn.Module, expected: str
) -> None:
    assert default_layer(model, noise(2, 16)) == expected
    assert block_layers(model, noise(2, 16))[-1] == expected
    assert grad_cam(model, noise(2, 16)).maps.shape == (2, 16, 16)


@pytest.mark.parametrize(
    ("build", "size", "expected", "cells"),
    [
        (vgg11, 224, "features.19", 14),
        (vgg11, 112, "features.19", 7),  # its adaptive pooling gives 7 x 7 as well
        (alexnet, 224, "features.11", 13),
        (alexnet, 288, "features.11", 17),
        (resnet50, 224, "layer4", 7),
        (swin_t, 224, "permute", 7),
    ],
)
def test_backbones_are_looked_at_before_they_pool(
    build: Callable[..., nn.Module], size: int, expected: str, cells: int
) -> None:
    model, images = build(weights=None, num_classes=3), noise(1, size)
    assert default_layer(model, images) == expected == block_layers(model, images)[-1]
    assert map_cells(model, images, expected) == (cells, cells)


def test_a_layer_of_all_depths_is_none_of_the_first() -> None:
    model = OneReLU(in_head=False)
    assert block_layers(model, noise(2, 16)) == ["conv1", "relu"]
