"""The methods of class activation mapping: from one layer's feature maps to raw maps.

Four are a line or two on the activations A and the gradients G of the class score, both
(N, C, h, w). They give (N, h, w) maps whose negative part speaks against the class. Eigen-CAM needs
no gradients and knows no class; Score-CAM asks the network itself.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

# Masked pictures that Score-CAM classifies at once: its memory is that of such a batch.
SCORE_BATCH = 64


def grad_cam_maps(activations: Tensor, gradients: Tensor) -> Tensor:
    """Grad-CAM: each channel weighs its mean gradient (Selvaraju et al., ICCV 2017)."""
    weights = gradients.mean((2, 3), keepdim=True)
    return (weights * activations).sum(1)


def grad_cam_plus_plus_maps(activations: Tensor, gradients: Tensor) -> Tensor:
    """Grad-CAM++: each channel weighs its positive gradients (Chattopadhay et al., WACV 2018).

    The paper's alpha, G² / (2 G² + G³ ΣA), is taken without the common G², which is so small behind
    global average pooling that an epsilon beside it would decide the map. The paper's class score
    is exp(S) of the logit S, which only scales the whole map of a picture.
    """
    denominator = 2 + gradients * activations.sum((2, 3), keepdim=True)
    # Behind a ReLU it is at least 2 wherever it counts; elsewhere it can vanish.
    alpha = 1 / torch.where(denominator == 0, torch.inf, denominator)
    weights = (alpha * gradients.relu()).sum((2, 3), keepdim=True)
    return (weights * activations).sum(1)


def hires_cam_maps(activations: Tensor, gradients: Tensor) -> Tensor:
    """HiResCAM: every pixel weighs its own gradient (Draelos & Carin, 2020, arXiv:2011.08891)."""
    return (gradients * activations).sum(1)


def layer_cam_maps(activations: Tensor, gradients: Tensor) -> Tensor:
    """LayerCAM: every pixel weighs its positive gradient (Jiang et al., IEEE TIP 2021)."""
    return (gradients.relu() * activations).sum(1)


GRADIENT_METHODS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gradcam": grad_cam_maps,
    "gradcam++": grad_cam_plus_plus_maps,
    "hirescam": hires_cam_maps,
    "layercam": layer_cam_maps,
}

METHODS: tuple[str, ...] = (*GRADIENT_METHODS, "eigencam", "scorecam")


def eigen_cam_maps(activations: Tensor) -> Tensor:
    """Eigen-CAM: first principal component of the pixels' features (Muhammad & Yeasin, IJCNN 2020).

    The features are centred, which the paper leaves out: its maps of features behind a ReLU show
    little but their mean. A principal component has no sign of its own; this one is positive where
    the features are stronger.

    Args:
        activations: (N, C, h, w).

    Returns:
        (N, h, w); NaN where a picture's activations are not finite.
    """
    pixels = activations.flatten(2).transpose(1, 2)
    centred = pixels - pixels.mean(1, keepdim=True)
    # One broken picture would fail the decomposition of the whole batch.
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
    return projected.view(-1, *activations.shape[2:])


def score_cam_maps(
    activations: Tensor, images: Tensor, score: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Score-CAM: each channel weighs what the network makes of its part of the picture.

    Each channel, upsampled and scaled to [0, 1], masks the picture; the softmax over the scores of
    a picture's masked copies weighs the channels (Wang et al., CVPR Workshops 2020; the score of
    the empty picture that they subtract from each falls out of the softmax). A channel that is the
    same everywhere masks all.

    It costs C forward passes a picture, in batches of `SCORE_BATCH`: hundreds of times Grad-CAM.

    Args:
        activations: (N, C, h, w).
        images: (N, 3, H, W), as the network takes them.
        score: from (B, 3, H, W) masked pictures and the (B,) indices of their originals to (B,)
            class scores.

    Returns:
        (N, h, w).
    """
    count, channels = activations.shape[:2]
    scores = []
    for pairs in torch.split(torch.arange(count * channels, device=images.device), SCORE_BATCH):
        masks = activations.flatten(0, 1)[pairs, None]
        masks = F.interpolate(masks, images.shape[2:], mode="bilinear", align_corners=False)
        low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
        masks = (masks - low) / torch.where(high > low, high - low, 1)
        originals = pairs // channels
        masked = (masks * images[originals]).to(images.dtype)
        scores.append(score(masked, originals))
    weights = torch.cat(scores).view(count, channels).softmax(1)
    return (weights[:, :, None, None] * activations).sum(1)
