"""Whether the maps are to be trusted, and whether they lie on the fish: on validation pictures."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from fishcnn.cam.faithfulness import Curves, Faithfulness, faithfulness
from fishcnn.cam.localisation import Localisation, localise
from fishcnn.cam.maps import class_activation_maps
from fishcnn.cam.methods import METHODS
from fishcnn.cam.sanity_check import Randomisation, randomisation_test
from fishcnn.commands.explain.explained_images import (
    BATCH,
    Picture,
    validation_pictures,
    validation_sample,
)
from fishcnn.commands.explain.question import PREDICTED, Answer, Question, answer
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.inspection.borders import find_bars
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError

A_CLASS = 20  # pictures: enough to find a shortcut in each
MOST_BYTES = 2**28  # of pictures; painting fish over takes a few times as much
RANDOMISED = 32  # pictures: their mean correlation is known to a few hundredths
DRAWS = 3  # random networks: a single one may resemble the trained one
# Of methods that run the network hundreds of times for one map.
RANDOMISED_SLOWLY, DRAWS_SLOWLY = 4, 1


@dataclass(frozen=True)
class Measured:
    """What was measured on N validation pictures, with maps ``(N, 1, S, S)`` of predicted classes.

    Attributes:
        faithfulness: of the first of these pictures.
        randomisation: None where every map is empty.
        evidence: of all N; its positions count from 0 in ``pictures``.
        pictures: which they are.
        answer: the network's, on them.
        masks: ``(N, S, S)``, or None.
    """

    faithfulness: Faithfulness
    randomisation: Randomisation | None
    evidence: Localisation
    pictures: list[Picture]
    answer: Answer
    masks: Tensor | None

    @property
    def curves(self) -> dict[str, Curves]:
        """Mean curves by kind of map."""
        kinds = self.faithfulness.maps, self.faithfulness.random, self.faithfulness.centre
        names = "map", "random map", "centre"
        return {name: kind.mean_curves for name, kind in zip(names, kinds, strict=True)}


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
    if not METHODS[question.method].passes_per_channel:
        affordable = MOST_BYTES // (3 * 4 * classifier.image_size**2)
        wanted = max(pictures, min(A_CLASS * len(classifier.classes), affordable))
    positions = validation_sample(datamodule, wanted, seed)
    images, labels, masks, found = _gather(classifier, datamodule, question, positions)
    maps = found.maps[:, 0].to(classifier.device)
    targets = found.targets.to(classifier.device)
    few = slice(0, pictures)
    generator = torch.Generator().manual_seed(seed)
    return Measured(
        faithfulness=faithfulness(classifier, images[few], maps[few], targets[few], generator),
        randomisation=_randomisation(classifier, images[few], targets[few], question, seed),
        evidence=localise(
            classifier,
            images,
            maps,
            labels,
            classes=classifier.classes,
            bars=_bars(images),
            masks=masks,
            seed=seed,
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


def _bars(images: Tensor) -> Tensor:
    """``(N, S, S)`` bool, True on letterboxes, frames and caption bars."""
    pixels = (images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return torch.from_numpy(np.stack([find_bars(image).mask for image in pixels]))


def _randomisation(
    classifier: FishClassifier, images: Tensor, targets: Tensor, question: Question, seed: int
) -> Randomisation | None:
    slow = METHODS[question.method].passes_per_channel > 0
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
