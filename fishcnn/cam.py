"""Class activation maps on any convolutional `nn.Module`: where a network saw its evidence.

A method is one small function from (activations, gradients) to raw maps, like `_grad_cam_maps`;
`grad_cam` shows how its three parts (capture, method, normalisation) are put together.
"""

from contextlib import ExitStack
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from fishcnn.errors import FishError


class CamResult(NamedTuple):
    """Maps and class scores of one batch, both detached.

    Attributes:
        maps: (N, H, W) float32 in [0, 1], each with maximum 1, or all zeros where nothing speaks
            for the target class. Not finite only where the network's own numbers are not.
        logits: (N, K) float32 class scores of the same forward pass.
    """

    maps: Tensor
    logits: Tensor


def grad_cam(
    model: nn.Module, images: Tensor, *, layer: str | nn.Module, targets: Tensor | None = None
) -> CamResult:
    """Grad-CAM (Selvaraju et al., ICCV 2017): what in each picture speaks for its target class.

    Works in training, under `no_grad`, `inference_mode` and `autocast`, and on compiled models. The
    model runs in eval mode; its modes, gradients, statistics and hooks are left as they were.

    Args:
        model: A classifier from (N, C, H, W) pictures to (N, K) class scores.
        images: (N, C, H, W), as the model takes them.
        layer: The module to look at, or its dotted name. Its output must be (N, channels, h, w).
            If the model calls it several times, the last call counts.
        targets: (N,) int64 class indices; None for the classes that the model predicts.

    Raises:
        FishError: The layer is unknown, gives no feature maps, or has no influence on the scores.
    """
    model = _uncompiled(model)
    # Inference tensors cannot take part in a backward pass, and a model may change its input.
    with torch.inference_mode(False), torch.enable_grad():
        targets = None if targets is None else targets.to(images.device).clone()
        activations, logits = _forward_from(layer, model, images.clone())
        with torch.autocast(images.device.type, enabled=False):  # from here on in float32
            logits = logits.float()
            targets = logits.argmax(1) if targets is None else targets
            score = logits.gather(1, targets[:, None]).sum()  # pictures do not mix in eval mode
            (gradients,) = torch.autograd.grad(score, activations)
            raw = _grad_cam_maps(activations.detach().float(), gradients.float())
            height, width = images.shape[-2:]
            return CamResult(_normalised(raw, (height, width)), logits.detach())


def _grad_cam_maps(activations: Tensor, gradients: Tensor) -> Tensor:
    """Channels summed with their mean gradients as weights; two (N, C, h, w) to one (N, h, w)."""
    weights = gradients.mean((2, 3), keepdim=True)
    return (weights * activations).sum(1)


def _normalised(raw: Tensor, size: tuple[int, int]) -> Tensor:
    """Keep the positive evidence of (N, h, w) maps, upsample to `size`, divide by each maximum."""
    maps = F.interpolate(raw.relu()[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    peak = maps.amax((1, 2), keepdim=True)
    return maps / torch.where(peak > 0, peak, 1)


def _forward_from(
    layer: str | nn.Module, model: nn.Module, images: Tensor
) -> tuple[Tensor, Tensor]:
    """One forward pass whose graph begins at the layer's output: (that output, the logits)."""
    module = find_layer(model, layer) if isinstance(layer, str) else layer
    names = {part: name for name, part in model.named_modules()}
    name = names.get(module, type(module).__name__)  # the class, if it is no part of the model
    activations = images.new_empty(0)

    def cut(_module: nn.Module, _args: object, output: object) -> Tensor:
        nonlocal activations
        if not isinstance(output, Tensor) or output.ndim != 4:
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise FishError(
                f"layer={name!r} gives {shape}, but Grad-CAM needs feature "
                f"maps (N, channels, height, width). {_suggestion(model)}"
            )
        activations = output.detach().requires_grad_()
        return activations.clone()  # a copy, or an in-place ReLU behind it would overwrite them

    with module.register_forward_hook(cut):
        logits = _run_untouched(model, images)
    if not logits.requires_grad:
        raise FishError(
            f"layer={name!r} has no gradient: the class scores do not depend on "
            f"it, or the model runs it under no_grad. {_suggestion(model)}"
        )
    return activations, logits


def _run_untouched(model: nn.Module, images: Tensor) -> Tensor:
    """The logits of one uncompiled forward pass in eval mode that leaves no trace in the model."""
    modes = [(module, module.training) for module in model.modules()]
    # With detached parameters no graph begins before a hook starts one, and no parameter can get a
    # gradient.
    detached = {name: parameter.detach() for name, parameter in model.named_parameters()}
    try:
        model.eval()
        with torch.compiler.set_stance("force_eager"):  # compiled graphs do not see new hooks
            logits: Tensor = functional_call(model, detached, (images,))
    finally:
        for module, mode in modes:
            module.training = mode
    return logits


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """The submodule with this dotted name, for example "blocks.2" or "layer4.1".

    Raises:
        FishError: There is no such submodule; the message lists names that work.
    """
    model = _uncompiled(model)
    try:
        return model.get_submodule(name)
    except AttributeError:
        raise FishError(
            f"layer={name!r} is no layer of {type(model).__name__}. {_suggestion(model)}"
        ) from None


def default_layer(model: nn.Module, images: Tensor) -> str:
    """Name of the layer to look at when nobody chose one.

    It is the model's own `cam_layer: str` where it has one; else the last module that gives feature
    maps (N, C, h, w) of more than one pixel. These depend on the picture size, hence the images, of
    which one runs through the model. Where a block and its last part give the same maps, it is the
    block.

    Raises:
        FishError: The model has no such layer.
    """
    model = _uncompiled(model)
    if isinstance(own := getattr(model, "cam_layer", None), str):
        return own
    found: list[str] = []

    names = {module: name for name, module in model.named_modules() if name}

    def note(module: nn.Module, _args: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1:
            found.append(names[module])

    with ExitStack() as hooks:
        for module in names:
            hooks.enter_context(module.register_forward_hook(note))
        _run_untouched(model, images[:1])
    if not found:
        raise FishError(
            f"layer=None: {type(model).__name__} has no layer with feature maps (N, channels, "
            "height, width) of more than one pixel, so there is no class activation map of it. "
            "Take a convolutional model, or leave the maps out."
        )
    return found[-1]


def energy_inside(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of each map's energy that lies on its mask, in [0, 1].

    The energy-based pointing game of Wang et al., "Score-CAM", CVPR Workshops 2020.

    Args:
        maps: (N, H, W), not negative.
        masks: (N, H, W) bool, or float in [0, 1] for the covered share of each pixel.

    Returns:
        (N,) float; NaN for an all-zero map, which points nowhere.
    """
    on_mask = maps * masks.to(maps)
    return on_mask.sum((1, 2)) / maps.sum((1, 2))


def pointing_hit(maps: Tensor, masks: Tensor) -> Tensor:
    """Whether each map's peak lies on its mask: 1 or 0, without the tolerance in pixels.

    The pointing game of Zhang et al., "Top-down neural attention by excitation backprop", IJCV
    2018. Upsampled maps are flat at the picture's edge, so a peak may cover several pixels: then
    the share of them that is on the mask counts.

    Args:
        maps: (N, H, W), not negative.
        masks: (N, H, W) bool, or float in [0, 1], where 0.5 and more is on the mask.

    Returns:
        (N,) float; NaN for an all-zero map, which points nowhere.
    """
    top = maps.amax((1, 2), keepdim=True)
    peaks = (maps == top) & (top > 0)
    return energy_inside(peaks.to(maps), masks.to(maps) >= 0.5)


def _uncompiled(model: nn.Module) -> nn.Module:
    """The module inside a `torch.compile(model)` wrapper, whose layers have their plain names."""
    inner = getattr(model, "_orig_mod", model)
    return inner if isinstance(inner, nn.Module) else model


def _suggestion(model: nn.Module) -> str:
    """The end of an error message: the parts with convolutions, at most two levels deep."""
    names = [
        name
        for name, module in model.named_modules()
        if name and name.count(".") < 2
        if any(isinstance(part, nn.Conv2d) for part in module.modules())
    ]
    return f"Names that work are for example: {', '.join(names) or 'none, for want of a Conv2d'}."
