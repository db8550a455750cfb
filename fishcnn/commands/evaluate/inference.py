"""What the network makes of images: its logits, and where it looked."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fishcnn.cam.maps import grad_cam
from fishcnn.commands.labelled_images import LabelledImages
from fishcnn.commands.trained_run import check_finite
from fishcnn.data.decoding.resize import resize
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.progress import track

# Bounds the memory of the activations.
_BATCH = 64

# Share of the height and width that test-time augmentation crops from the centre. Fish at the edge
# of an image are rare, and a smaller crop would cut off tails.
_CROP = 7 / 8


def views(images: Tensor) -> list[Tensor]:
    """Test-time augmentation of float ``(N, 3, H, W)``: as it is, mirrored, enlarged, and both."""
    size = images.shape[-2:]
    height, width = (round(side * _CROP) for side in size)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    centre = images[..., top : top + height, left : left + width]
    closer = F.interpolate(centre, size, mode="bilinear", align_corners=False)
    return [images, images.flip(-1), closer, closer.flip(-1)]


@torch.inference_mode()
def logits_of(
    classifier: FishClassifier, images: LabelledImages, *, augmented: bool
) -> NDArray[np.float64]:
    """Run a network in eval mode over N images, or over the four :func:`views` of each.

    Returns:
        ``(V, N, K)`` logits of V views, the first of which is the plain image.

    Raises:
        FishError: the network gives numbers that are not finite.
    """
    parts = []
    starts, total = range(0, len(images), _BATCH), len(images)
    for start in track(starts, "Classifying images", total=total, step=_BATCH):
        batch = _batch(classifier, images, np.arange(start, min(start + _BATCH, len(images))))
        shown = views(batch) if augmented else [batch]
        parts.append(torch.stack([classifier(view).float() for view in shown]).cpu())
    logits = torch.cat(parts, 1)
    check_finite(logits)
    return logits.double().numpy()


class MistakeMaps(NamedTuple):
    """What speaks for either class in some mistakes: Grad-CAM, float32 ``(n, H, W)`` in [0, 1]."""

    for_predicted: NDArray[np.float32]
    for_true: NDArray[np.float32]


def mistake_maps(
    classifier: FishClassifier,
    images: LabelledImages,
    positions: NDArray[np.int64],
    predicted: NDArray[np.int64],
) -> MistakeMaps:
    """Explain a few images in one batch: those at the positions, int64 ``(n,)``, n ≥ 1."""
    batch = classifier.normalize(_batch(classifier, images, positions))
    both = (torch.from_numpy(classes) for classes in (predicted, images.labels[positions]))
    return MistakeMaps(
        *(grad_cam(classifier.network, batch, targets=t).maps.cpu().numpy() for t in both)
    )


def _batch(
    classifier: FishClassifier, images: LabelledImages, positions: NDArray[np.int64]
) -> Tensor:
    batch = torch.from_numpy(images.take(positions)).to(classifier.device)
    return resize(batch, classifier.image_size)
