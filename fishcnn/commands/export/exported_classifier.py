"""The network with all that surrounds it, and the metadata that goes into every exported file."""

import copy
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, cast

import torch
from torch import Tensor, nn

from fishcnn.data.decoding.resize import resize
from fishcnn.models.classifier import FishClassifier
from fishcnn.models.networks import build_network

_PREPROCESSING = (
    "Turn the picture upright (EXIF), lay transparency on white, convert to 8-bit RGB, squash to "
    "{working} x {working} pixels with an anti-aliased bilinear filter (Pillow: BILINEAR), "
    "whatever its shape. The rest is inside: anti-aliased bilinear resize to {image} x {image}, "
    "division by 255, normalisation by mean and std, softmax of logits / temperature."
)


class ExportedClassifier(nn.Module):
    """From the bytes of pictures to class probabilities, without Lightning.

    Args:
        network: from normalised pictures to logits.
        image_size: side in pixels of what the network sees.
        mean: RGB mean that is subtracted, for pictures in [0, 1].
        std: RGB standard deviation that is divided by.
        temperature: what the logits are divided by.
    """

    mean: Tensor
    std: Tensor
    temperature: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        image_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        temperature: float,
    ) -> None:
        super().__init__()
        self.network = network
        self.image_size = image_size
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))
        self.register_buffer("temperature", torch.tensor(temperature))

    @classmethod
    def of(cls, classifier: FishClassifier) -> "ExportedClassifier":
        """Wrap a copy of the network of a classifier, in eval mode."""
        network = copy.deepcopy(classifier.network).requires_grad_(False)
        # A fit leaves the weights channels last, which files do not keep.
        cast(Any, network).to(memory_format=torch.contiguous_format)
        exported = cls(
            network,
            image_size=classifier.image_size,
            mean=classifier.mean.flatten().tolist(),
            std=classifier.std.flatten().tolist(),
            temperature=float(classifier.temperature),
        )
        return exported.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Classify pictures.

        Args:
            images: uint8 ``(N, S, S, 3)`` RGB with S = ``working_size`` of the metadata.

        Returns:
            float32 ``(N, K)``, each row sums to 1.
        """
        normalized = (resize(images, self.image_size) - self.mean) / self.std
        logits = cast(Tensor, self.network(normalized))
        return (logits / self.temperature).softmax(1)


def metadata_of(classifier: FishClassifier) -> dict[str, str]:
    """What a file has to say of itself, so that nothing else is needed to use it.

    Returns:
        ``classes`` (in the order of the probabilities), ``mean``, ``std`` and ``model`` as JSON,
        ``image_size``, ``working_size`` (pixels) and ``temperature`` as numbers, and ``input``,
        ``output``, ``preprocessing`` and ``fishcnn_version`` as text.
    """
    image, working = classifier.image_size, classifier.working_size
    return {
        # With ASCII escapes, as the name of a folder need not be valid Unicode.
        "classes": json.dumps(classifier.classes),
        "image_size": str(image),
        "working_size": str(working),
        "mean": json.dumps(classifier.mean.flatten().tolist()),
        "std": json.dumps(classifier.std.flatten().tolist()),
        "temperature": repr(float(classifier.temperature)),
        "model": json.dumps(dict(classifier.hparams["model"])),
        "input": f"images: uint8 (N, {working}, {working}, 3), RGB, 0 to 255, any N from 1",
        "output": f"probabilities: float32 (N, {len(classifier.classes)})",
        "preprocessing": _PREPROCESSING.format(working=working, image=image),
        "fishcnn_version": version("fishcnn"),
    }


def rebuild(metadata: Mapping[str, str]) -> ExportedClassifier:
    """Build the module that the weights of ``model.safetensors`` belong into.

    Args:
        metadata: of that file.

    Returns:
        In eval mode, with weights that are still random: load the file's with ``load_state_dict``.

    Raises:
        FishError: this version of fishcnn has no such network.
    """
    image_size = int(metadata["image_size"])
    network = build_network(
        json.loads(metadata["model"]),
        num_classes=len(json.loads(metadata["classes"])),
        image_size=image_size,
    )
    exported = ExportedClassifier(
        network,
        image_size=image_size,
        mean=json.loads(metadata["mean"]),
        std=json.loads(metadata["std"]),
        temperature=float(metadata["temperature"]),
    )
    return exported.eval()
