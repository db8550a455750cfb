"""Where a layer puts its channels: (N, C, h, w) mostly, (N, h, w, C) in some transformers.

The shape alone tells them apart wherever an image's height and width halve together, as channels
have nothing to do with them. Where it does not, a wider image does: only the width grows with it.
"""

from contextlib import suppress

import torch
from torch import Tensor, nn

from fishcnn.cam.running import run_untouched

FIRST, LAST = 1, 3
# By the axis of the width.
_CHANNELS = {3: FIRST, 2: LAST}


class _Seen(Exception):
    """The layer has been called as often as it is; its argument is the shape of its output."""


def by_shape(shape: torch.Size, size: torch.Size) -> list[int]:
    """The axes that may be the channels' in an output (N, ., ., .), for images of ``size`` (H, W).

    Returns:
        Of FIRST and LAST those that leave a height and width in the proportion of the images'.
    """
    if len(shape) != 4:
        return []
    height, width = size
    sides = {FIRST: shape[2:], LAST: shape[1:3]}
    return [
        axis
        for axis, (h, w) in sides.items()
        if abs(h * width - w * height) <= max(height, width)  # less than a pixel of the coarser one
    ]


def channel_axis(
    model: nn.Module, layer: nn.Module, shape: torch.Size, images: Tensor, *, calls: int = 1
) -> int | None:
    """FIRST or LAST, the axis of the channels in a layer's output; None if it is no feature maps.

    Args:
        model: That the layer is a part of.
        layer: Whose output is looked at.
        shape: Of the output for ``images``, of the last call.
        images: (N, 3, H, W), of which one runs through the model once more where the shape leaves
            LAST possible or the layer is not of convolutions: widened, and up to the layer only.
        calls: Of the layer in one pass, one ReLU for all say.
    """
    possible = by_shape(shape, images.shape[2:])
    if len(shape) != 4 or shape[0] != len(images):
        return None  # such as a transformer's windows, which are many to an image
    if possible == [FIRST] and any(isinstance(part, nn.Conv2d) for part in layer.modules()):
        return FIRST
    wider = _shape_for_wider(model, layer, images[:1], calls)
    if wider is None or wider[1:] == shape[1:]:  # fixed to one size, or pooled to one
        return possible[0] if len(possible) == 1 else FIRST if FIRST in possible else None
    grown = [axis for axis in range(1, 4) if wider[axis] != shape[axis]]
    found = _CHANNELS.get(grown[0]) if len(grown) == 1 else None
    return found if not possible or found in possible else None


def _shape_for_wider(
    model: nn.Module, layer: nn.Module, image: Tensor, calls: int
) -> torch.Size | None:
    """The shape of a layer's last output for an image of twice the width; None if it is not had."""
    left = calls

    def stop(_layer: nn.Module, _args: object, output: object) -> None:
        nonlocal left
        left -= 1
        if left:
            return
        raise _Seen(output.shape if isinstance(output, Tensor) else None)

    handle = layer.register_forward_hook(stop)
    try:
        # A network that is made for one size of images says so in many ways.
        with torch.no_grad(), suppress(RuntimeError, ValueError, AssertionError, IndexError):
            run_untouched(model, torch.cat([image, image], dim=3))
    except _Seen as seen:
        (shape,) = seen.args
        return shape if shape is not None and len(shape) == 4 else None
    finally:
        handle.remove()
    return None
