"""The methods of class activation mapping: from one layer's feature maps to raw maps.

A method is one function and its record in `METHODS`, from which everything else about it follows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fishcnn.utils.errors import ArgumentError

# Masked images that Score-CAM classifies at once: its memory is that of such a batch.
SCORE_BATCH = 64


class Seen(NamedTuple):
    """What a method can read: one layer's view of a batch.

    Attributes:
        activations: (N, C, h, w) float32, the layer's output.
        gradients: (N, C, h, w) float32, of the class scores with respect to it; empty where the
            method needs none.
        images: (N, 3, H, W).
        score: from (B, 3, H, W) images and the (B,) indices of their originals to (B,) scores of
            the originals' target classes.
    """

    activations: Tensor
    gradients: Tensor
    images: Tensor
    score: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class CamMethod:
    """One method.

    Attributes:
        raw_maps: from what the layer sees to (N, h, w) maps, whose negative part speaks against
            the class; NaN where an image's activations are not finite.
        passes_per_channel: forward passes that an image takes for each channel of the layer, beyond
            the one that every method takes.
    """

    name: str
    raw_maps: Callable[[Seen], Tensor]
    paper: str
    needs_gradients: bool = True
    looks_at_class: bool = True
    passes_per_channel: int = 0


def grad_cam_maps(seen: Seen) -> Tensor:
    """Each channel weighs its mean gradient."""
    weights = seen.gradients.mean((2, 3), keepdim=True)
    return (weights * seen.activations).sum(1)


def grad_cam_plus_plus_maps(seen: Seen) -> Tensor:
    """Each channel weighs its positive gradients.

    The paper's alpha, G² / (2 G² + G³ ΣA), is taken without the common G², which is so small behind
    global average pooling that an epsilon beside it would decide the map. The paper's class score
    is exp(S) of the logit S, which only scales the whole map of an image.
    """
    denominator = 2 + seen.gradients * seen.activations.sum((2, 3), keepdim=True)
    # Behind a ReLU it is at least 2 wherever it counts; elsewhere it can vanish.
    alpha = 1 / torch.where(denominator == 0, torch.inf, denominator)
    weights = (alpha * seen.gradients.relu()).sum((2, 3), keepdim=True)
    return (weights * seen.activations).sum(1)


def hires_cam_maps(seen: Seen) -> Tensor:
    """Every pixel weighs its own gradient."""
    return (seen.gradients * seen.activations).sum(1)


def layer_cam_maps(seen: Seen) -> Tensor:
    """Every pixel weighs its positive gradient."""
    return (seen.gradients.relu() * seen.activations).sum(1)


def eigen_cam_maps(seen: Seen) -> Tensor:
    """First principal component of the pixels' features.

    The features are centred, which the paper leaves out: its maps of features behind a ReLU show
    little but their mean. A principal component has no sign of its own; this one is positive where
    the features are stronger.
    """
    pixels = seen.activations.flatten(2).transpose(1, 2)
    centred = pixels - pixels.mean(1, keepdim=True)
    # One broken image would fail the decomposition of the whole batch.
    finite = centred.nan_to_num(0, 0, 0)
    # Eigenvectors of the smaller product, channels or pixels, are many times as quick as a
    # singular value decomposition.
    if finite.shape[1] >= finite.shape[2]:
        component = torch.linalg.eigh(finite.mT @ finite).eigenvectors[:, :, -1:]
    else:
        along_pixels = torch.linalg.eigh(finite @ finite.mT).eigenvectors[:, :, -1:]
        component = F.normalize(finite.mT @ along_pixels, dim=1)
    grows = torch.where(component.sum(1, keepdim=True) < 0, -1, 1)
    projected: Tensor = centred @ (grows * component)
    return projected.view(-1, *seen.activations.shape[2:])


def score_cam_maps(seen: Seen) -> Tensor:
    """Each channel weighs what the network makes of its part of the image.

    Each channel, upsampled and scaled to [0, 1], masks the image; the softmax over the scores of an
    image's masked copies weighs the channels. (The score of the empty image, which the paper
    subtracts from each, falls out of the softmax.) A channel that is the same everywhere masks all.
    """
    activations, images = seen.activations, seen.images
    count, channels = activations.shape[:2]
    scores = []
    for pairs in torch.split(torch.arange(count * channels, device=images.device), SCORE_BATCH):
        masks = activations.flatten(0, 1)[pairs, None]
        masks = F.interpolate(masks, images.shape[2:], mode="bilinear", align_corners=False)
        low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
        masks = (masks - low) / torch.where(high > low, high - low, 1)
        originals = pairs // channels
        scores.append(seen.score((masks * images[originals]).to(images.dtype), originals))
    weights = torch.cat(scores).view(count, channels).softmax(1)
    return (weights[:, :, None, None] * activations).sum(1)


METHODS = {
    method.name: method
    for method in (
        CamMethod("gradcam", grad_cam_maps, "Selvaraju et al., Grad-CAM, ICCV 2017"),
        CamMethod(
            "gradcam++", grad_cam_plus_plus_maps, "Chattopadhay et al., Grad-CAM++, WACV 2018"
        ),
        CamMethod("hirescam", hires_cam_maps, "Draelos & Carin, HiResCAM, 2020, arXiv:2011.08891"),
        CamMethod("layercam", layer_cam_maps, "Jiang et al., LayerCAM, IEEE TIP 2021"),
        CamMethod(
            "eigencam",
            eigen_cam_maps,
            "Muhammad & Yeasin, Eigen-CAM, IJCNN 2020",
            needs_gradients=False,
            looks_at_class=False,
        ),
        CamMethod(
            "scorecam",
            score_cam_maps,
            "Wang et al., Score-CAM, CVPR Workshops 2020",
            needs_gradients=False,
            passes_per_channel=1,
        ),
    )
}


def find_method(name: str) -> CamMethod:
    """The method of this name; else an ArgumentError lists those that exist."""
    if name not in METHODS:
        raise ArgumentError("method", name, f"choose one of {', '.join(METHODS)}")
    return METHODS[name]
