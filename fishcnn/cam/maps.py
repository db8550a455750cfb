"""Class activation maps on any convolutional `nn.Module`: where a network saw its evidence.

Three steps: capture the layers' activations and gradients in one forward and one backward pass,
turn them into raw maps by a method of `fishcnn.cam.methods`, normalise these.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from difflib import get_close_matches
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fishcnn.cam.layers import (
    block_layers,
    default_layer,
    find_layer,
    run_untouched,
    suggestion,
    uncompiled,
)
from fishcnn.cam.methods import GRADIENT_METHODS, METHODS, eigen_cam_maps, score_cam_maps
from fishcnn.utils.errors import FishError

__all__ = [
    "METHODS",
    "CamResult",
    "block_layers",
    "class_activation_maps",
    "class_targets",
    "default_layer",
    "energy_inside",
    "find_layer",
    "grad_cam",
    "pointing_hit",
]


class CamResult(NamedTuple):
    """Maps and class scores of one batch, both detached.

    Attributes:
        maps: (N, H, W) of one layer or (N, L, H, W) of several, float32 in [0, 1], each with
            maximum 1, or all zeros where nothing speaks for the target class. Not finite only where
            the network's own numbers are not.
        logits: (N, K) float32 class scores of the same forward pass.
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
    """Grad-CAM (Selvaraju et al., ICCV 2017): what in each picture speaks for its target class.

    Works in training, under `no_grad`, `inference_mode` and `autocast`, and on compiled models. The
    model runs in eval mode; its modes, gradients, statistics and hooks are left as they were.

    Args:
        model: A classifier from (N, C, H, W) pictures to (N, K) class scores.
        images: (N, C, H, W), as the model takes them.
        layer: The module to look at, or its dotted name. Its output must be (N, channels, h, w).
            If the model calls it several times, the last call counts. None for `default_layer`.
        targets: (N,) int64 class indices; None for the classes that the model predicts.

    Raises:
        FishError: The layer is unknown, gives no feature maps, or has no influence on the scores;
            or a target is no class of the model.
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
    """Maps of several layers, by any method, for a class or for one class rather than another.

    One forward pass serves all layers, and one backward pass that ends at the lowest of them;
    Eigen-CAM goes without the latter. Score-CAM takes as many more forward passes as the layers
    have channels, with the memory of one batch. Everything else is as in `grad_cam`.

    Args:
        model: A classifier from (N, C, H, W) pictures to (N, K) class scores.
        images: (N, C, H, W), as the model takes them.
        layers: L modules or their dotted names, in any order; see `block_layers`.
        method: One of `METHODS`.
        targets: (N,) int64 class indices; None for the classes that the model predicts. Eigen-CAM
            does not look at them.
        against: (N,) int64 class indices, for maps of the score logit[target] - logit[against]:
            what speaks for the target rather than for this class. A map whose two classes are the
            same is all zeros.

    Returns:
        Maps (N, L, H, W) and logits.

    Raises:
        FishError: As in `grad_cam`; or there is no such method, or it cannot take `against`.
    """
    if method not in METHODS:
        raise FishError(f"method={method!r} is unknown. There are: {', '.join(METHODS)}.")
    if method == "eigencam" and against is not None:
        raise FishError(
            "method='eigencam' looks at no class, so against= means nothing to it: leave that out, "
            "or take another method."
        )
    model = uncompiled(model)
    modules = [find_layer(model, layer) if isinstance(layer, str) else layer for layer in layers]
    # Inference tensors cannot take part in a backward pass, and a model may change its input.
    with torch.inference_mode(False), torch.set_grad_enabled(method in GRADIENT_METHODS):
        images = images.detach().clone()
        activations, logits = _forward_from(modules, model, images)
        direction = _direction(logits, targets, against)
        if method == "scorecam":

            def score(masked: Tensor, originals: Tensor) -> Tensor:
                return (run_untouched(model, masked).float() * direction[originals]).sum(1)

            # Of a class against itself all scores are 0, which a softmax takes for evidence.
            distinct = direction.any(1)[:, None, None]
            raw = [distinct * score_cam_maps(a.float(), images, score) for a in activations]
        else:
            with torch.autocast(images.device.type, enabled=False):  # from here on in float32
                if method == "eigencam":
                    raw = [eigen_cam_maps(a.float()) for a in activations]
                else:
                    score_sum = (logits.float() * direction).sum()  # pictures do not mix in eval
                    gradients = _gradients(score_sum, activations, modules, model)
                    raw = [
                        GRADIENT_METHODS[method](a.detach().float(), g.float())
                        for a, g in zip(activations, gradients, strict=True)
                    ]
        height, width = images.shape[-2:]
        maps = torch.stack([_normalised(r, (height, width)) for r in raw], dim=1)
        return CamResult(maps, logits.detach().float())


def class_targets(
    target: str | int,
    *,
    classes: Sequence[str],
    labels: Tensor | None,
    count: int,
    setting: str = "target",
) -> Tensor | None:
    """The class of each picture that a person means by `target=predicted|true|CLASSNAME|INDEX`.

    Args:
        target: "predicted", "true" (or True, as YAML reads it), a class name or an index. Of a
            class whose name is a number the name counts.
        classes: K class names in the order of the class scores.
        labels: (N,) true class indices, or None where nobody knows them.
        count: N, the number of pictures.
        setting: How the setting is typed, for the error message.

    Returns:
        (N,) int64 class indices, or None for the predicted classes.

    Raises:
        FishError: There is no such class, or the true ones are not known.
    """
    name = str(target)
    if name == "predicted":
        return None
    if target is True or name == "true":
        if labels is None:
            raise FishError(
                f"{setting}=true: the true classes of these pictures are not known. Name a class, "
                "or take predicted."
            )
        return labels.long()
    if name in classes:
        return torch.full((count,), classes.index(name))
    if name.isdecimal() and int(name) < len(classes):
        return torch.full((count,), int(name))
    near = get_close_matches(name, classes, n=5, cutoff=0.4) or classes[:5]
    raise FishError(
        f"{setting}={target} is no class. Take predicted, true, an index from 0 to "
        f"{len(classes) - 1}, or a class name, for example: {', '.join(near)}."
    )


def _forward_from(
    layers: Sequence[nn.Module], model: nn.Module, images: Tensor
) -> tuple[list[Tensor], Tensor]:
    """One forward pass whose graph begins at the lowest layer: (the layers' outputs, logits)."""
    captured: dict[nn.Module, Tensor] = {}

    def cut(layer: nn.Module, _args: object, output: object) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise FishError(
                f"layer={_name(layer, model)!r} gives {shape}, but class activation maps need "
                f"feature maps (N, channels, height, width). {suggestion(model)}"
            )
        # Above the lowest layer the output is in its graph already and must stay there.
        captured[layer] = output if output.requires_grad else output.detach().requires_grad_()
        return captured[layer].clone()  # or an in-place ReLU behind it would overwrite them

    with ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(layer.register_forward_hook(cut))
        logits = run_untouched(model, images)
    for layer in layers:
        if layer not in captured:
            raise _no_gradient(layer, model)
    return [captured[layer] for layer in layers], logits


def _gradients(
    score: Tensor, activations: Sequence[Tensor], layers: Sequence[nn.Module], model: nn.Module
) -> list[Tensor]:
    """The score's gradients with respect to the layers' outputs, and to nothing below them."""
    if not score.requires_grad:
        raise _no_gradient(layers[0], model)
    gradients = []
    for layer, gradient in zip(
        layers, torch.autograd.grad(score, activations, allow_unused=True), strict=True
    ):
        if gradient is None:
            raise _no_gradient(layer, model)
        gradients.append(gradient)
    return gradients


def _no_gradient(layer: nn.Module, model: nn.Module) -> FishError:
    return FishError(
        f"layer={_name(layer, model)!r} has no gradient: the class scores do not depend on it, or "
        f"the model runs it under no_grad. {suggestion(model)}"
    )


def _name(layer: nn.Module, model: nn.Module) -> str:
    """The layer's dotted name, or its class, if it is no part of the model."""
    names: dict[nn.Module, str] = {part: name for name, part in model.named_modules()}
    return names.get(layer, type(layer).__name__)


def _direction(logits: Tensor, targets: Tensor | None, against: Tensor | None) -> Tensor:
    """(N, K) with 1 at each target and -1 at the class against it: the score is its dot product."""
    classes = logits.shape[1]

    def one_hot(indices: Tensor, setting: str) -> Tensor:
        if indices.shape != logits.shape[:1]:
            raise FishError(
                f"{setting}= gives {tuple(indices.shape)} classes for {len(logits)} pictures: "
                "there must be one for each."
            )
        for index in (int(indices.min()), int(indices.max())):
            if not 0 <= index < classes:
                raise FishError(
                    f"{setting}={index} is no class of the model: it has {classes}, from 0 to "
                    f"{classes - 1}."
                )
        return F.one_hot(indices.to(logits.device).long(), classes)

    direction = one_hot(logits.argmax(1) if targets is None else targets, "target")
    return direction if against is None else direction - one_hot(against, "against")


def _normalised(raw: Tensor, size: tuple[int, int]) -> Tensor:
    """Keep the positive evidence of (N, h, w) maps, upsample to `size`, divide by each maximum."""
    maps = F.interpolate(raw.relu()[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    peak = maps.amax((1, 2), keepdim=True)
    return maps / torch.where(peak > 0, peak, 1)


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
