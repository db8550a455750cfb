"""The network that all contenders train: that of ``experiment=seed``."""

from torch import nn

from fishcnn.commands.build import compose_config
from fishcnn.commands.settings import plain
from fishcnn.models.networks import build_network


def build_network_of(blocks: int, num_classes: int, image_size: int) -> nn.Module:
    """Build the network of ``experiment=seed`` with another depth."""
    settings = plain(compose_config("experiment=seed", f"model.blocks={blocks}").model)
    return build_network(settings, num_classes=num_classes, image_size=image_size)
