"""What the network makes of pictures: its logits, and where it looked."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fishcnn.cam.layers import default_layer
from fishcnn.cam.maps import grad_cam
from fishcnn.commands.evaluate.labelled import Labelled
from fishcnn.data.decoding.resize import resize
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError

# Bounds the memory of the activations.
_BATCH = 64

# Side of the crop that test-time augmentation takes from the centre. Fish at the edge of a picture
# are rare, and more would cut off tails.
_CROP = 7 / 8


def views(images: Tensor) -> list[Tensor]:
    """Test-time augmentation: each picture, mirrored, enlarged a little, and both.

    Args:
        images: float ``(N, 3, H, W)``.

    Returns:
        Four of the same shape, the first as it came.
    """
    size = images.shape[-2:]
    height, width = (round(side * _CROP) for side in size)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    centre = images[..., top : top + height, left : left + width]
    closer = F.interpolate(centre, size, mode="bilinear", align_corners=False)
    return [images, images.flip(-1), closer, closer.flip(-1)]


@torch.inference_mode()
def logits_of(
    classifier: FishClassifier, pictures: Labelled, *, augmented: bool
) -> NDArray[np.float64]:
    """Run the network over all pictures.

    Args:
        classifier: in eval mode.
        pictures: N of them.
        augmented: whether to take the four :func:`views` of each picture.

    Returns:
        ``(V, N, K)`` logits of V views, the first of which is the plain picture.

    Raises:
        FishError: the network gives numbers that are not finite.
    """
    parts = []
    for start in range(0, len(pictures), _BATCH):
        batch = _images(classifier, pictures, np.arange(start, min(start + _BATCH, len(pictures))))
        shown = views(batch) if augmented else [batch]
        parts.append(torch.stack([classifier(view).float() for view in shown]).cpu())
    logits: NDArray[np.float64] = torch.cat(parts, 1).double().numpy()
    if not np.isfinite(logits).all():
        raise FishError(
            "the network answers with numbers that are not finite: its training has diverged. "
            "Name another run by ckpt="
        )
    return logits


class Explained(NamedTuple):
    """Grad-CAM of some pictures, float32 ``(n, H, W)`` in [0, 1].

    Attributes:
        for_predicted: what speaks for the predicted class.
        for_true: what speaks for the true class.
    """

    for_predicted: NDArray[np.float32]
    for_true: NDArray[np.float32]


def explain(
    classifier: FishClassifier,
    pictures: Labelled,
    positions: NDArray[np.int64],
    predicted: NDArray[np.int64],
) -> Explained:
    """Explain some pictures, at least one.

    Args:
        classifier: the network.
        pictures: N of them.
        positions: int64 ``(n,)``, which ones.
        predicted: int64 ``(n,)``, their predicted classes.
    """
    layer = None
    maps: dict[str, list[NDArray[np.float32]]] = {"predicted": [], "true": []}
    for start in range(0, len(positions), _BATCH):
        chunk = slice(start, start + _BATCH)
        images = classifier.normalize(_images(classifier, pictures, positions[chunk]))
        layer = layer or default_layer(classifier.network, images)
        targets = {"predicted": predicted[chunk], "true": pictures.labels[positions[chunk]]}
        for name, classes in targets.items():
            result = grad_cam(
                classifier.network, images, layer=layer, targets=torch.from_numpy(classes)
            )
            maps[name].append(result.maps.cpu().numpy())
    return Explained(np.concatenate(maps["predicted"]), np.concatenate(maps["true"]))


def _images(classifier: FishClassifier, pictures: Labelled, positions: NDArray[np.int64]) -> Tensor:
    batch = torch.from_numpy(pictures.take(positions)).to(classifier.device)
    return resize(batch, classifier.image_size)
