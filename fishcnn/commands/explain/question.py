"""What is asked of the network, and its answer for a batch of pictures."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fishcnn.cam.layers import block_layers, default_layer, find_layer
from fishcnn.cam.maps import class_activation_maps
from fishcnn.cam.targets import class_targets
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError

PREDICTED = "predicted"
ALL_LAYERS = "all"


@dataclass(frozen=True)
class Question:
    """What is asked of each picture.

    Attributes:
        method: one of :data:`fishcnn.cam.methods.METHODS`.
        layers: L dotted names inside the network, lowest first.
        target: "predicted", "true", a class name or an index: what speaks for this class.
        against: likewise, for what speaks for the target rather than for this class; or None.
    """

    method: str
    layers: tuple[str, ...]
    target: str | int = PREDICTED
    against: str | int | None = None

    @property
    def needs_labels(self) -> str | None:
        """The setting that asks for the true classes, or None."""
        for setting, value in (("target", self.target), ("against", self.against)):
            if _name(value) == "true":
                return setting
        return None

    @property
    def names_its_class(self) -> bool:
        """Whether a map is of anything but what the network predicts."""
        return self.against is not None or _name(self.target) != PREDICTED


class Answer(NamedTuple):
    """Of N pictures, on the CPU.

    Attributes:
        probabilities: float32 ``(N, K)``, calibrated.
        targets: int64 ``(N,)``, the classes that the maps are of.
        against: int64 ``(N,)``, the classes that they are against; or None.
        maps: float32 ``(N, L, H, W)`` in [0, 1].
    """

    probabilities: Tensor
    targets: Tensor
    against: Tensor | None
    maps: Tensor


def ask(
    classifier: FishClassifier,
    *,
    method: str,
    layer: str | int | None,
    target: str | int,
    against: str | int | None,
) -> Question:
    """Check the settings, before any picture is read.

    Args:
        classifier: the network.
        method: of :data:`fishcnn.cam.methods.METHODS`.
        layer: a dotted name; "all" for one of each depth; None for the layer to look at.
        target: as in :class:`Question`.
        against: likewise.

    Raises:
        FishError: one of them is wrong; the message names it.
    """
    size = classifier.image_size
    example = classifier.normalize(torch.zeros(1, 3, size, size, device=classifier.device))
    network = classifier.network
    if layer is None:
        layers = [default_layer(network, example)]
    elif layer == ALL_LAYERS:
        layers = block_layers(network, example)
    else:
        find_layer(network, str(layer))
        layers = [str(layer)]
    for setting, value in (("target", target), ("against", against)):
        if value is not None:
            class_targets(
                value, classes=classifier.classes, labels=torch.zeros(1), count=1, argument=setting
            )
    if against is not None and _name(against) == _name(target):
        raise FishError(f"target={target} against={against}: these are the same, name another one")
    question = Question(method, tuple(layers), target, against)
    # A layer may have no feature maps, a method may know no classes.
    answer(classifier, example, torch.zeros(1, dtype=torch.int64), question)
    return question


def answer(
    classifier: FishClassifier, images: Tensor, labels: Tensor | None, question: Question
) -> Answer:
    """Classify pictures and draw their maps.

    Args:
        classifier: in eval mode.
        images: float ``(N, 3, S, S)`` in [0, 1], on its device.
        labels: int64 ``(N,)``, the true classes; None where one of them is not known.
        question: what is asked.

    Raises:
        FishError: the true classes are asked for and not known, or the network's answer is not
            finite.
    """
    with torch.inference_mode():
        probabilities = classifier.probabilities(images).cpu()
    if not probabilities.isfinite().all():
        raise FishError(
            "the network answers with numbers that are not finite: its training has diverged. "
            "Name another run by ckpt="
        )
    predicted = probabilities.argmax(1)

    def chosen(value: str | int, setting: str) -> Tensor:
        targets = class_targets(
            value, classes=classifier.classes, labels=labels, count=len(images), argument=setting
        )
        return predicted if targets is None else targets

    targets = chosen(question.target, "target")
    against = None if question.against is None else chosen(question.against, "against")
    result = class_activation_maps(
        classifier.network,
        classifier.normalize(images),
        layers=question.layers,
        method=question.method,
        targets=targets,
        against=against,
    )
    return Answer(probabilities, targets, against, result.maps.cpu())


def _name(value: str | int | None) -> str | None:
    """A choice as it is typed: YAML reads ``true`` as a truth value."""
    return "true" if value is True else None if value is None else str(value)
