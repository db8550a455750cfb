"""The network with all that surrounds it, and the metadata that goes into every exported file."""

import copy
import json
from importlib.metadata import version
from typing import Any, cast

import torch
from torch import Tensor, nn

from fishcnn.data.decoding.resize import CROP, LETTERBOX, SQUASH, resize
from fishcnn.models.classifier import FishClassifier

_PREPROCESSING = (
    "Decode a JPEG at the smallest scale of 1, 1/2, 1/4, 1/8 that leaves both sides at least "
    "{working} pixels (Pillow: draft), turn the image upright (EXIF), lay transparency on white, "
    "convert to 8-bit RGB, {shape} with an anti-aliased bilinear filter (Pillow: BILINEAR, "
    "reducing_gap=3){then}. "
    "The rest is inside: anti-aliased bilinear resize to {image} x {image}, "
    "division by 255, normalisation by mean and std, softmax of logits / temperature."
)

# By the way of resizing: what becomes of the shape, and what else is done.
_SHAPES = {
    SQUASH: ("squash to {working} x {working} pixels", ", whatever its shape"),
    LETTERBOX: (
        "reduce or enlarge to {working} pixels along the longer side, in its own shape,",
        ", round the other side to a whole number of pixels, and lay it in the middle of "
        "{working} x {working} pixels of its mean colour, rounded to whole levels",
    ),
    CROP: (
        "cut out the square in the middle that is as high and wide as the shorter side, and bring "
        "it to {working} x {working} pixels",
        "",
    ),
}


class ExportedClassifier(nn.Module):
    """From the bytes of images to class probabilities, without Lightning, in eval mode."""

    mean: Tensor
    std: Tensor
    temperature: Tensor

    def __init__(self, classifier: FishClassifier) -> None:
        super().__init__()
        self.network = copy.deepcopy(classifier.network).requires_grad_(False)
        # A fit leaves the weights channels last, which files do not keep.
        cast(Any, self.network).to(memory_format=torch.contiguous_format)
        self.image_size = classifier.image_size
        self.register_buffer("mean", classifier.mean.view(3, 1, 1).clone())
        self.register_buffer("std", classifier.std.view(3, 1, 1).clone())
        self.register_buffer("temperature", classifier.temperature.clone())
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Classify uint8 ``(N, S, S, 3)`` RGB, S = ``working_size`` of the metadata.

        Returns float32 ``(N, K)``, of which each row sums to 1.
        """
        normalized = (resize(images, self.image_size) - self.mean) / self.std
        logits = cast(Tensor, self.network(normalized))
        return (logits / self.temperature).softmax(1)


def metadata_of(classifier: FishClassifier) -> dict[str, str]:
    """What a file has to say of itself, so that nothing else is needed to use it.

    Returns:
        ``classes`` (in the order of the probabilities), ``mean``, ``std`` and ``model`` as JSON,
        ``image_size``, ``working_size`` (pixels) and ``temperature`` as numbers, and ``resize``,
        ``input``, ``output``, ``preprocessing`` and ``fishcnn_version`` as text.
    """
    image, working = classifier.image_size, classifier.square.side
    shape, then = (part.format(working=working) for part in _SHAPES[classifier.square.resize])
    return {
        # With ASCII escapes, as the name of a folder need not be valid Unicode.
        "classes": json.dumps(classifier.classes),
        "image_size": str(image),
        "working_size": str(working),
        "resize": classifier.square.resize,
        "mean": json.dumps(classifier.mean.flatten().tolist()),
        "std": json.dumps(classifier.std.flatten().tolist()),
        "temperature": repr(float(classifier.temperature)),
        "model": json.dumps(dict(classifier.hparams["model"])),
        "input": f"images: uint8 (N, {working}, {working}, 3), RGB, 0 to 255, any N from 1",
        "output": f"probabilities: float32 (N, {len(classifier.classes)})",
        "preprocessing": _PREPROCESSING.format(
            working=working, image=image, shape=shape, then=then
        ),
        "fishcnn_version": version("fishcnn"),
    }
