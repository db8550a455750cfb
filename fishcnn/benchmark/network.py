"""The network that all contenders train: that of ``experiment=seed``."""

from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from fishcnn.commands.settings import CONF, plain
from fishcnn.models.networks import build_network
from fishcnn.models.networks.cnn import FishCNN


def read_conf(file: str) -> dict[str, Any]:
    """Read one file of ``conf/``."""
    config = OmegaConf.load(CONF / file)
    assert isinstance(config, DictConfig)
    return plain(config)


def textbook_order(network: nn.Module) -> nn.Module:
    """Put the ReLU of each block before its pooling, as it stands in most tutorials."""
    assert isinstance(network, FishCNN)
    for block in network.blocks:
        assert isinstance(block, nn.Sequential)
        block[2], block[3] = block[3], block[2]
    return network


def build_network_of(blocks: int, num_classes: int, image_size: int) -> nn.Module:
    """Build the network of ``experiment=seed`` with another depth."""
    model = read_conf("model/cnn.yaml")
    seed = read_conf("experiment/seed.yaml")["model"]
    settings = {**model, **seed, "blocks": blocks}
    return build_network(settings, num_classes=num_classes, image_size=image_size)
