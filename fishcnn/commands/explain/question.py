"""What is asked of the network, and its answer for a batch of images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from fishcnn.cam.layers import block_layers, default_layer
from fishcnn.cam.maps import class_activation_maps, map_cells
from fishcnn.cam.methods import CamMethod, find_method
from fishcnn.cam.targets import class_targets
from fishcnn.commands.settings import as_settings
from fishcnn.commands.trained_run import finite_probabilities
from fishcnn.data.decoding.resize import SQUASH
from fishcnn.models.classifier import FishClassifier
from fishcnn.plots.cam_sheet import EVIDENCE
from fishcnn.utils.errors import FishError
from fishcnn.utils.text import find_name, same_names

PREDICTED, TRUE = "predicted", "true"
ALL_LAYERS = "all"


@dataclass(frozen=True)
class Question:
    """What is asked of each image.

    Attributes:
        layers: L dotted names inside the network, lowest first.
        target: "predicted", "true", a class name or an index: what speaks for this class.
        against: likewise, for what speaks for the target rather than for this class; or None.
        resize: how the network sees images, one of RESIZES.
        cells: L heights and widths of the maps in cells, before they are enlarged; () where nobody
            knows.
        overlay: how they are laid over images, one of OVERLAYS.
    """

    method: CamMethod
    layers: tuple[str, ...]
    target: str = PREDICTED
    against: str | None = None
    resize: str = SQUASH
    cells: tuple[tuple[int, int], ...] = ()
    overlay: str = EVIDENCE

    @property
    def needs_labels(self) -> str | None:
        """The setting that asks for the true classes, or None."""
        return "target" if self.target == TRUE else "against" if self.against == TRUE else None

    @property
    def names_its_class(self) -> bool:
        """Whether a map is of anything but what the network predicts."""
        return self.against is not None or self.target != PREDICTED

    @property
    def measured(self) -> "Question":
        """What is measured of the method: maps of the predicted classes, at the last layer."""
        return replace(
            self,
            layers=self.layers[-1:],
            cells=self.cells[-1:],
            target=PREDICTED,
            against=None,
        )

    @property
    def in_words(self) -> str:
        """What the maps are of."""

        def words(choice: str) -> str:
            return f"the {choice} class" if choice in (PREDICTED, TRUE) else f"class {choice}"

        if not self.method.looks_at_class:
            return "what stands out, whatever the class"
        if self.against is None:
            return f"what speaks for {words(self.target)}"
        return f"what speaks for {words(self.target)} rather than for {words(self.against)}"


def words_that_are_classes(question: Question, classes: Sequence[str]) -> list[str]:
    """Say what "predicted" and "true" mean where a class is called so as well."""
    return [
        f"{setting}={word} means the {word} class of each image; the class that is called {word} "
        f"is chosen by its index: {setting}={find_name(word, classes)}."
        for setting, word in (("target", question.target), ("against", question.against))
        if word in (PREDICTED, TRUE) and find_name(word, classes) is not None
    ]


class Answer(NamedTuple):
    """Of N images, on the CPU.

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
    overlay: str = EVIDENCE,
) -> Question:
    """Check the settings, before any image is read.

    They are those of :class:`Question`, but for a ``layer`` of "all", which is one of each depth,
    or None, the layer to look at, and for True, as YAML reads "true".

    Raises:
        FishError: one of them is wrong; the message names it.
    """
    size = classifier.image_size
    example = torch.zeros(1, 3, size, size, device=classifier.device)
    normalized = classifier.normalize(example)
    if layer == ALL_LAYERS:
        layers = block_layers(classifier.network, normalized)
    else:
        layers = [default_layer(classifier.network, normalized) if layer is None else str(layer)]
    with as_settings():
        question = Question(
            find_method(method),
            tuple(layers),
            TRUE if target is True else str(target),
            TRUE if against is True else None if against is None else str(against),
            classifier.square.resize,
            overlay=overlay,
        )
        # A layer may not exist or have no feature maps, and a class may not exist.
        answer(classifier, example, torch.zeros(1, dtype=torch.int64), question)
    if question.against is not None and same_names([question.target], [question.against]):
        raise FishError(f"target={target} against={against}: choose two different classes")
    cells = [map_cells(classifier.network, normalized, layer) for layer in layers]
    return replace(question, cells=tuple(cells))


def answer(
    classifier: FishClassifier, images: Tensor, labels: Tensor | None, question: Question
) -> Answer:
    """Classify images and make their maps.

    Args:
        classifier: in eval mode.
        images: float ``(N, 3, S, S)`` in [0, 1], on its device.
        labels: int64 ``(N,)``, the true classes; None where one of them is not known.
        question: what is asked.

    Raises:
        FishError: the true classes are asked for and not known, or the network's answer is not
            finite.
    """
    probabilities = finite_probabilities(classifier, images)
    predicted = probabilities.argmax(1)

    def chosen(choice: str, argument: str) -> Tensor:
        targets = class_targets(
            choice, classes=classifier.classes, labels=labels, count=len(images), argument=argument
        )
        return predicted if targets is None else targets

    targets = chosen(question.target, "target")
    against = None if question.against is None else chosen(question.against, "against")
    result = class_activation_maps(
        classifier.network,
        classifier.normalize(images),
        layers=question.layers,
        method=question.method.name,
        targets=targets,
        against=against,
    )
    return Answer(probabilities, targets, against, result.maps.cpu())
