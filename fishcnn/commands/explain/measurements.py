"""Whether the maps are to be trusted, and whether they lie on the fish: on validation pictures."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fishcnn.cam.faithfulness import (
    Faithfulness,
    Scores,
    average_drop_and_increase,
    centre_maps,
    deletion_insertion,
    random_maps,
)
from fishcnn.cam.localisation import Evidence, find_evidence
from fishcnn.cam.maps import class_activation_maps
from fishcnn.cam.sanity_check import Randomisation, randomisation_test
from fishcnn.commands.explain.explained_images import (
    BATCH,
    Picture,
    validation_pictures,
    validation_sample,
)
from fishcnn.commands.explain.question import PREDICTED, Answer, Question, answer
from fishcnn.data.datamodule import FishDataModule
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError

A_CLASS = 20  # pictures: enough to find a shortcut in each
MOST_BYTES = 2**28  # of pictures; painting fish over takes a few times as much
RANDOMISED = 32  # pictures: their mean correlation is known to a few hundredths
DRAWS = 3  # random networks: a single one may resemble the trained one
# Score-CAM runs the network hundreds of times for one map.
RANDOMISED_SLOWLY, DRAWS_SLOWLY = 4, 1

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class MeanCurves:
    """Mean confidence over the pictures while they are taken away and put back.

    Attributes:
        deletion: ``(steps + 1,)`` in [0, 1].
        insertion: likewise.
    """

    deletion: Floats
    insertion: Floats


@dataclass(frozen=True)
class Measured:
    """What was measured on N validation pictures, with maps ``(N, 1, S, S)`` of predicted classes.

    Attributes:
        faithfulness: of the first of these pictures.
        curves: by "map", "random map" and "centre".
        randomisation: None where every map is empty.
        evidence: of all N; its positions count from 0 in ``pictures``.
        pictures: which they are.
        answer: the network's, on them.
        masks: ``(N, S, S)``, or None.
    """

    faithfulness: Faithfulness
    curves: dict[str, MeanCurves]
    randomisation: Randomisation | None
    evidence: Evidence
    pictures: list[Picture]
    answer: Answer
    masks: Tensor | None


def measure(
    classifier: FishClassifier,
    datamodule: FishDataModule,
    question: Question,
    *,
    pictures: int,
    seed: int,
) -> Measured:
    """Judge the method at the last of the layers, by its maps of the predicted classes.

    Args:
        classifier: in eval mode.
        datamodule: of its run, set up.
        question: whose method and layer are judged.
        pictures: over which faithfulness is averaged. Where the evidence lies is averaged over 20
            of each class instead, if there are so many and memory allows.
        seed: of the choice of pictures, of random maps and of random networks.
    """
    question = judged(question)
    wanted = pictures
    if question.method != "scorecam":
        affordable = MOST_BYTES // (3 * 4 * classifier.image_size**2)
        wanted = max(pictures, min(A_CLASS * len(classifier.classes), affordable))
    positions = validation_sample(datamodule, wanted, seed)
    images, labels, masks, found = _gather(classifier, datamodule, question, positions)
    maps = found.maps[:, 0].to(classifier.device)
    targets = found.targets.to(classifier.device)
    few = slice(0, pictures)
    faithfulness, curves = _faithfulness(classifier, images[few], maps[few], targets[few], seed)
    return Measured(
        faithfulness=faithfulness,
        curves=curves,
        randomisation=_randomisation(classifier, images[few], targets[few], question, seed),
        evidence=find_evidence(
            classifier, images, maps, labels, classes=classifier.classes, masks=masks, seed=seed
        ),
        pictures=validation_pictures(datamodule, positions),
        answer=found,
        masks=None if masks is None else masks.cpu(),
    )


def judged(question: Question) -> Question:
    """The question that is judged: of the predicted classes, at one layer."""
    return replace(question, layers=question.layers[-1:], target=PREDICTED, against=None)


def _gather(
    classifier: FishClassifier, datamodule: FishDataModule, question: Question, positions: list[int]
) -> tuple[Tensor, Tensor, Tensor | None, Answer]:
    """Images, labels and masks on the device of the network, and its answer."""
    images, labels, masks, answers = [], [], [], []
    for start in range(0, len(positions), BATCH):
        chunk = positions[start : start + BATCH]
        batch = datamodule.batch("val", chunk, classifier.device)
        answers.append(answer(classifier, batch["image"], batch["label"], question))
        images.append(batch["image"])
        labels.append(batch["label"])
        if "mask" in batch:
            masks.append(batch["mask"])
    found = Answer(
        probabilities=torch.cat([one.probabilities for one in answers]),
        targets=torch.cat([one.targets for one in answers]),
        against=None,
        maps=torch.cat([one.maps for one in answers]),
    )
    return torch.cat(images), torch.cat(labels), torch.cat(masks) if masks else None, found


def _faithfulness(
    classifier: FishClassifier, images: Tensor, maps: Tensor, targets: Tensor, seed: int
) -> tuple[Faithfulness, dict[str, MeanCurves]]:
    """As :func:`fishcnn.cam.faithfulness.faithfulness`, and the curves themselves."""
    shape = (len(images), images.shape[-2], images.shape[-1])
    generator = torch.Generator().manual_seed(seed)
    kinds = {
        "map": maps,
        "random map": random_maps(shape, generator).to(maps),
        "centre": centre_maps(shape).to(maps),
    }
    scores, means = [], {}
    for name, kind in kinds.items():
        curves = deletion_insertion(classifier, images, kind, targets)
        alone = average_drop_and_increase(classifier, images, kind, targets)
        areas = (curves.deletion_area, curves.insertion_area)
        scores.append(Scores(*(value.cpu() for value in (*areas, alone.drop, alone.increase))))
        means[name] = MeanCurves(*(curve.mean(0).cpu().numpy() for curve in curves))
    return Faithfulness(*scores), means


def _randomisation(
    classifier: FishClassifier, images: Tensor, targets: Tensor, question: Question, seed: int
) -> Randomisation | None:
    slow = question.method == "scorecam"
    count = RANDOMISED_SLOWLY if slow else RANDOMISED
    targets = targets[:count]

    def make_maps(network: nn.Module, normalized: Tensor) -> Tensor:
        return class_activation_maps(
            network, normalized, layers=question.layers, method=question.method, targets=targets
        ).maps[:, 0]

    try:
        return randomisation_test(
            classifier.network,
            classifier.normalize(images[:count]),
            make_maps,
            draws=DRAWS_SLOWLY if slow else DRAWS,
            seed=seed,
        )
    except FishError:  # every map is empty
        return None
