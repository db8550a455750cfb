"""Class activation maps of any convolutional `nn.Module`: what in an image speaks for a class.

Three steps: capture the layers' activations and gradients in one forward and one backward pass,
turn them into raw maps by a method of `fishcnn.cam.methods`, normalise these.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fishcnn.cam.channel_axis import channel_axis
from fishcnn.cam.layers import default_layer, find_layer, suggestion, uncompiled
from fishcnn.cam.methods import Seen, find_method
from fishcnn.cam.running import run_untouched
from fishcnn.cam.targets import score_weights
from fishcnn.utils.errors import ArgumentError


class CamResult(NamedTuple):
    """Maps and (N, K) class scores of one forward pass, both float32 and detached.

    Maps are (N, H, W) of one layer or (N, L, H, W) of several, in [0, 1], each with maximum 1, or
    all zeros where nothing speaks for the target class; not finite only where the network is not.
    """

    maps: Tensor
    logits: Tensor


def grad_cam(
    model: nn.Module,
    images: Tensor,
    *,
    layer: str | nn.Module | None = None,
    targets: Tensor | None = None,
) -> CamResult:
    """Grad-CAM (Selvaraju et al., ICCV 2017): what in each image speaks for its target class.

    Works in training, under `no_grad`, `inference_mode` and `autocast`, and on compiled models. The
    model runs in eval mode; its modes, gradients, statistics and hooks are left as they were.

    Args:
        model: A classifier from (N, C, H, W) images to (N, K) class scores.
        images: (N, C, H, W), as the model takes them.
        layer: The module to look at, or its dotted name. Its output must be (N, channels, h, w) or
            (N, h, w, channels).
            If the model calls it several times, the last call counts. None for `default_layer`.
        targets: (N,) int64 class indices; None for the classes that the model predicts.

    Raises:
        ArgumentError: The layer is unknown, gives no feature maps, or has no influence on the
            scores; or a target is not a class of the model.
    """
    if layer is None:
        layer = default_layer(model, images)
    maps, logits = class_activation_maps(model, images, layers=[layer], targets=targets)
    return CamResult(maps[:, 0], logits)


def class_activation_maps(
    model: nn.Module,
    images: Tensor,
    *,
    layers: Sequence[str | nn.Module],
    method: str = "gradcam",
    targets: Tensor | None = None,
    against: Tensor | None = None,
) -> CamResult:
    """Maps of L layers, by any method, for a class or for one class rather than another.

    One forward pass serves all layers, and so does one backward pass that ends at the lowest of
    them, where the method needs it. Layers, or their dotted names, come in any order; the method is
    one of `fishcnn.cam.methods.METHODS`. With `against`, (N,) int64 class indices, maps are of the
    score logit[target] - logit[against]: what speaks for the target rather than for this class. A
    map whose two classes are the same is all zeros. Everything else is as in `grad_cam`.

    Raises:
        ArgumentError: As in `grad_cam`; or there is no such method, or it cannot take `against`.
    """
    chosen = find_method(method)
    if against is not None and not chosen.looks_at_class:
        problem = "its maps are the same for every class, so it cannot take against; leave that out"
        raise ArgumentError("method", method, f"{problem} or choose another method")
    model = uncompiled(model)
    modules = [find_layer(model, layer) if isinstance(layer, str) else layer for layer in layers]
    device = images.device.type
    autocast = torch.is_autocast_enabled(device)
    # Inference tensors cannot take part in a backward pass, and a model may change its input.
    with torch.inference_mode(False), torch.set_grad_enabled(chosen.needs_gradients):
        images = images.detach().clone()
        activations, logits, calls = _forward_from(modules, model, images)
        axes = [
            _axis_of(layer, model, activation.shape, images, calls[layer])
            for layer, activation in zip(modules, activations, strict=True)
        ]
        weights = score_weights(logits, targets, against)

        def score(masked: Tensor, originals: Tensor) -> Tensor:
            with torch.autocast(device, enabled=autocast):  # as in the pass above
                return (run_untouched(model, masked).float() * weights[originals]).sum(1)

        with torch.autocast(device, enabled=False):  # from here on in float32
            gradients = [torch.empty(0)] * len(modules)
            if chosen.needs_gradients:
                total = (logits.float() * weights).sum()  # images do not mix in eval mode
                gradients = _gradients(total, activations, modules, model)
            # The scores of a class against itself are all 0, which a softmax would take for a map.
            distinct = weights.any(1)[:, None, None]
            raw = [
                distinct
                * chosen.raw_maps(
                    Seen(_channels_first(a.detach(), axis), _channels_first(g, axis), images, score)
                )
                for a, g, axis in zip(activations, gradients, axes, strict=True)
            ]
            maps = torch.stack([_normalised(r, images.shape[-2:]) for r in raw], dim=1)
    return CamResult(maps, logits.detach().float())


def map_cells(model: nn.Module, images: Tensor, layer: str | nn.Module) -> tuple[int, int]:
    """Height and width of a layer's maps in cells, before they are enlarged to the image.

    One of the images, which are those of `grad_cam`, runs through the model.

    Raises:
        ArgumentError: As in `grad_cam`.
    """
    model = uncompiled(model)
    module = find_layer(model, layer) if isinstance(layer, str) else layer
    with torch.inference_mode(False), torch.enable_grad():
        images = images[:1].detach().clone()
        (activation,), _, calls = _forward_from([module], model, images)
        axis = _axis_of(module, model, activation.shape, images, calls[module])
        maps = _channels_first(activation.detach(), axis)
    return maps.shape[2], maps.shape[3]


def _forward_from(
    layers: Sequence[nn.Module], model: nn.Module, images: Tensor
) -> tuple[list[Tensor], Tensor, Counter[nn.Module]]:
    """One forward pass whose graph begins at the lowest layer.

    Returns:
        The outputs of the layers' last calls, the logits, and how often each layer was called.
    """
    captured: dict[nn.Module, Tensor] = {}
    calls: Counter[nn.Module] = Counter()

    def cut(layer: nn.Module, _args: object, output: object) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            raise _no_maps(layer, model, output)
        calls[layer] += 1
        # Above the lowest layer the output is in its graph already and must stay there.
        captured[layer] = output if output.requires_grad else output.detach().requires_grad_()
        return captured[layer].clone()  # or an in-place ReLU behind it would overwrite them

    with ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(layer.register_forward_hook(cut))
        logits = run_untouched(model, images)
    for layer in layers:
        if layer not in captured:
            raise _unusable(layer, model, _NO_GRADIENT)
    return [captured[layer] for layer in layers], logits, calls


def _gradients(
    score: Tensor, activations: Sequence[Tensor], layers: Sequence[nn.Module], model: nn.Module
) -> list[Tensor]:
    """The score's gradients with respect to the layers' outputs, and to nothing below them."""
    if not score.requires_grad:
        raise _unusable(layers[0], model, _NO_GRADIENT)
    found = torch.autograd.grad(score, activations, allow_unused=True)
    for layer, gradient in zip(layers, found, strict=True):
        if gradient is None:
            raise _unusable(layer, model, _NO_GRADIENT)
    return list(found)


def _axis_of(
    layer: nn.Module, model: nn.Module, shape: torch.Size, images: Tensor, calls: int
) -> int:
    axis = channel_axis(model, layer, shape, images, calls=calls)
    if axis is None:
        raise _no_maps(layer, model, torch.empty(shape, device="meta"))
    return axis


def _channels_first(maps: Tensor, axis: int) -> Tensor:
    """Float32 (N, C, h, w); empty tensors stay so."""
    return maps.float().movedim(axis, 1) if maps.ndim == 4 else maps


_NO_GRADIENT = (
    "has no gradient: the class scores do not depend on it, or the model runs it under no_grad"
)


def _no_maps(layer: nn.Module, model: nn.Module, output: object) -> ArgumentError:
    """An error that says what a layer gives instead of feature maps."""
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    problem = (
        f"gives {shape}, not feature maps (N, channels, height, width) or "
        "(N, height, width, channels)"
    )
    return _unusable(layer, model, problem)


def _unusable(layer: nn.Module, model: nn.Module, problem: str) -> ArgumentError:
    """An error with the layer's dotted name, or its class, if it is not a part of the model."""
    names = (name for name, part in model.named_modules() if part is layer)
    name = next(names, type(layer).__name__)
    return ArgumentError("layer", name, f"{problem}; {suggestion(model)}")


def _normalised(raw: Tensor, size: torch.Size) -> Tensor:
    """Keep the positive part of (N, h, w) maps, upsample to `size`, divide by each maximum."""
    maps = F.interpolate(raw.relu()[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    peak = maps.amax((1, 2), keepdim=True)
    return maps / torch.where(peak > 0, peak, 1)
