"""Which layer of a network to look at, by its dotted name."""

import math
from contextlib import ExitStack, suppress
from itertools import takewhile
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from fishcnn.cam.channel_axis import LAST, by_shape
from fishcnn.cam.running import run_untouched
from fishcnn.utils.errors import ArgumentError

# Along a side of a map: where ResNet-18 has maps of 2x2 at its end, 6% of their peaks lie on the
# fish, and 70% of those of its 4x4 before.
MIN_CELLS = 4


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """The submodule with this dotted name, such as "layer4.1"; an ArgumentError lists others."""
    model = uncompiled(model)
    if name:  # else the whole network
        with suppress(AttributeError):
            return model.get_submodule(name)
    problem = f"is not a layer of {type(model).__name__}; {suggestion(model)}"
    raise ArgumentError("layer", name, problem)


def default_layer(model: nn.Module, images: Tensor) -> str:
    """Name of the layer to look at when nobody chose one.

    It gives the features of the last convolution before they are pooled: the last module behind it
    whose maps are as large as its own. Where a block and its last part give the same maps, it is
    the block. Where these maps have fewer than `MIN_CELLS` along a side, it is the last of the
    `block_layers` with as many, if there is one. All depends on the size of the images, of which
    one runs through the model. A model without feature maps, (N, C, h, w) or (N, h, w, C), of more
    than one pixel is an ArgumentError.
    """
    maps = _feature_maps(uncompiled(model), images)
    last = max((i for i, layer in enumerate(maps) if layer.convolves), default=len(maps) - 1)
    size = maps[last].size
    if min(size) < MIN_CELLS:
        fine = [layer for layer in _stages(maps, images) if min(layer.size) >= MIN_CELLS]
        if fine:
            return fine[-1].name
    unpooled = takewhile(lambda layer: layer.size >= size, maps[last:])
    return [layer.name for layer in unpooled if layer.size == size][-1]


def block_layers(model: nn.Module, images: Tensor | None = None) -> list[str]:
    """Names of the layers that show what each depth looks at, from the first to the last.

    They are the stages of the network: the last layer of each spatial resolution, from the first
    convolution at it on, so that what only pools is none; the coarsest has more than one pixel.
    The resolution is counted in halvings, so that a convolution without padding begins no stage,
    and the name is the shortest: "features.3" rather than "features.4.block.0" inside the block
    that halves next, but "blocks.1.2" where that block ends with a pooling.
    One image of those given runs through the model, else an empty one of 3 x 224 x 224. A model
    without such a layer is an ArgumentError.
    """
    model = uncompiled(model)
    if images is None:
        parameter = next(model.parameters())
        images = torch.zeros(1, 3, 224, 224, dtype=parameter.dtype, device=parameter.device)
    return [layer.name for layer in _stages(_feature_maps(model, images), images)]


class _Layer(NamedTuple):
    """A layer that gives feature maps, and their height and width.

    Attributes:
        convolves: whether it has a matrix or kernels of its own, as convolutions have and poolings,
            activations and normalisations have not.
    """

    name: str
    size: tuple[int, int]
    convolves: bool


def _feature_maps(model: nn.Module, images: Tensor) -> list[_Layer]:
    """Each layer that gives maps of more than one pixel, in the order of the calls.

    Maps have about the aspect ratio of the images, which tells them from the (N, heads, tokens,
    channels) of a transformer. Of a layer that is called several times, one ReLU for all say, the
    last call counts, as in `grad_cam`: where that gives no maps, the layer is none.
    """
    height, width = images.shape[2:]
    found: dict[str, _Layer] = {}
    names = {module: name for name, module in model.named_modules() if name}

    def note(module: nn.Module, _args: object, output: object) -> None:
        found.pop(names[module], None)
        if not isinstance(output, Tensor) or output.ndim != 4 or len(output) != 1:
            return
        last = by_shape(output.shape, images.shape[2:]) == [LAST]
        h, w = output.shape[1:3] if last else output.shape[2:]
        if h * w > 1 and abs(h * width - w * height) <= max(height, width):
            found[names[module]] = _Layer(names[module], (h, w), _convolves(module))

    with ExitStack() as hooks:
        for module in names:
            hooks.enter_context(module.register_forward_hook(note))
        run_untouched(model, images[:1])
    if not found:
        problem = (
            f"{type(model).__name__} has no layer with feature maps (N, channels, height, width) "
            "of more than one pixel, so there is no class activation map of it"
        )
        raise ArgumentError("layer", None, problem)
    return list(found.values())


def _convolves(module: nn.Module) -> bool:
    """Whether it has a weight of more than one dimension, perhaps one that is parametrized."""
    weights = list(module.parameters(recurse=False))
    if is_parametrized(module):  # by torch.nn.utils.parametrizations.spectral_norm, say
        weights += module.get_submodule("parametrizations").parameters()
    return any(weight.ndim > 1 for weight in weights)


def _stages(maps: list[_Layer], images: Tensor) -> list[_Layer]:
    """Those that `block_layers` names."""
    stages: dict[int, _Layer] = {}
    deepest = 0
    for layer in maps:
        halvings = round(math.log2(images.shape[-2] / layer.size[0]))
        deepest = max(deepest, halvings)
        if halvings < deepest or (halvings not in stages and not layer.convolves):
            continue  # adaptive pooling may enlarge small maps
        if layer.name.count(".") <= stages.get(halvings, layer).name.count("."):
            stages[halvings] = layer
    return list(stages.values())


def uncompiled(model: nn.Module) -> nn.Module:
    """The module inside a `torch.compile(model)` wrapper, whose layers have their plain names."""
    inner = getattr(model, "_orig_mod", model)
    return inner if isinstance(inner, nn.Module) else model


def suggestion(model: nn.Module) -> str:
    """The end of an error message: the parts with convolutions, at most two levels deep."""
    names = [
        name
        for name, module in model.named_modules()
        if name and name.count(".") < 2
        if any(isinstance(part, nn.Conv2d) for part in module.modules())
    ]
    return f"choose for example {', '.join(names)}" if names else "the model has no Conv2d"
