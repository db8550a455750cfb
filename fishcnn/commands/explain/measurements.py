"""Whether the maps of a method are faithful, and where they lie: on validation images."""

from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fishcnn.cam.faithfulness import MIN_IMAGES, Faithfulness, Scores, faithfulness
from fishcnn.cam.localisation import MAX_CLASSES_NAMED, Found, Localisation, Place, localise
from fishcnn.cam.maps import class_activation_maps
from fishcnn.cam.sanity_check import Randomisation, randomisation_test
from fishcnn.commands.explain.explained_images import BATCH, sampled_files, validation_sample
from fishcnn.commands.explain.explanation_rows import Row, make_row
from fishcnn.commands.explain.question import Question, answer
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.inspection.borders import find_bars
from fishcnn.metrics.intervals import wilson_interval
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError
from fishcnn.utils.progress import track, waiting
from fishcnn.utils.text import finite, percent, printable

IMAGES_PER_CLASS = 20  # enough to find a shortcut in each
MAX_BYTES = 2**28  # of images; painting fish over takes a few times as much
RANDOMISED = 32  # images: their mean correlation is known to a few hundredths
MIN_CHANGE = 0.05  # of confidence when all of an image is removed: else nothing hangs on the image
DRAWS = 3  # random networks: a single one may resemble the trained one
# Of methods that run the network hundreds of times for one map.
RANDOMISED_SLOWLY, DRAWS_SLOWLY = 4, 1


@dataclass(frozen=True)
class Measured:
    """What was measured on N validation images.

    Attributes:
        question: what was asked: maps of the predicted classes at one layer.
        faithfulness: of the first of these images.
        randomisation: None where every map is empty.
        localisation: of all N; its positions are those of the rows.
        maps: float32 ``(N, 1, S, S)`` in [0, 1].
    """

    question: Question
    faithfulness: Faithfulness
    randomisation: Randomisation | None
    localisation: Localisation
    rows: list[Row]
    maps: Tensor

    @property
    def doubt(self) -> str | None:
        """Why maps of this network say little, whatever the tests say; None if nothing is known."""
        return doubt(
            sum(not row.wrong for row in self.rows),
            len(self.rows),
            len(self.localisation.classes),
            self.faithfulness.ends,
        )

    @property
    def verdicts(self) -> list[str]:
        """Whether the maps are faithful, a line for each test."""
        return [
            *([f"The maps say little: {self.doubt}"] if self.doubt else []),
            self.faithfulness.verdict,
            self.faithfulness.drop_verdict,
            "No sanity check: every map is empty (Adebayo et al. 2018)."
            if self.randomisation is None
            else self.randomisation.verdict,
        ]

    @property
    def kinds(self) -> dict[str, Scores]:
        """The measures of the maps and of both baselines, by name."""
        measured = self.faithfulness
        return {"map": measured.maps, "random map": measured.random, "centre": measured.centre}

    @property
    def places(self) -> dict[str, Place]:
        """How much of the maps lies where, by name; the fish only with masks."""
        found = self.localisation
        places = {"fish": found.fish, "border": found.border, "bars": found.bars}
        return {name: place for name, place in places.items() if place is not None}

    @property
    def findings(self) -> list[str]:
        """What was found about where they lie, a line for each, with the names of images to see."""
        names = [row.name for row in self.rows]
        return [finding.named(names) for finding in self._found]

    @property
    def examples(self) -> list[tuple[Found, list[int]]]:
        """For each thing that was found, the positions of images to see: of up to five classes."""
        return [
            (found, [*chain.from_iterable(list(found.examples.values())[:MAX_CLASSES_NAMED])])
            for found in self._found
        ]

    @property
    def _found(self) -> list[Found]:
        """What was found; of a network that knows nothing, nothing is called unsuspicious."""
        if self.doubt is None:
            return list(self.localisation.findings)
        doubted = Found("doubt", f"Where it looks says little: {self.doubt}", {})
        return [doubted, *(f for f in self.localisation.findings if f.kind != "nothing")]


def doubt(hits: int, total: int, classes: int, ends: tuple[float, float]) -> str | None:
    """Say why maps of a network prove little, or None.

    Args:
        hits: of the total of images, those whose class it found.
        total: of them.
        classes: that there are to choose from.
        ends: mean confidence in whole images, and in what is left when all is removed, 0 to 1.
    """
    if total < MIN_IMAGES:
        return None
    if wilson_interval(hits, total)[0] <= 1 / classes:
        return (
            f"the network is right on {hits} of {total} validation images, {percent(hits / total)},"
            f" which is not clearly above the {percent(1 / classes)} of guessing."
        )
    if abs(ends[0] - ends[1]) < MIN_CHANGE:
        return (
            f"the network's confidence hardly hangs on the image: {percent(ends[0])} on average, "
            f"and {percent(ends[1])} when all of the image is removed."
        )
    return None


def measure(
    classifier: FishClassifier,
    datamodule: FishDataModule,
    question: Question,
    *,
    images: int,
    seed: int,
) -> Measured:
    """Judge the method at the last of the layers, by its maps of the predicted classes.

    Faithfulness is averaged over so many images. Where the maps lie is averaged over 20 of each
    class instead, if there are so many, memory allows and the method is quick. The seed is that of
    the choice of images, of random maps and of random networks.
    """
    question = question.measured
    wanted = images
    if not question.method.passes_per_channel:
        affordable = MAX_BYTES // (3 * 4 * classifier.image_size**2)
        wanted = max(images, min(IMAGES_PER_CLASS * len(classifier.classes), affordable))
    positions = validation_sample(datamodule, wanted, seed)
    files = sampled_files(datamodule, positions)
    batches, rows, maps, targets = [], [], [], []
    starts, total = range(0, len(positions), BATCH), len(positions)
    for start in track(starts, "Explaining what is measured", total=total, step=BATCH):
        batch = datamodule.batch("val", positions[start : start + BATCH], classifier.device)
        found = answer(classifier, batch["image"], batch["label"], question)
        masks = batch["mask"].cpu() if "mask" in batch else [None] * len(found.maps)
        for position, mask in enumerate(masks):
            rows.append(
                make_row(classifier.classes, files[start + position], found, position, mask)
            )
        batches.append(batch)
        maps.append(found.maps)
        targets.append(found.targets)
    pixels = torch.cat([batch["image"] for batch in batches])
    on_device = torch.cat(maps)[:, 0].to(pixels.device)
    of = torch.cat(targets).to(pixels.device)
    few = slice(0, images)
    with waiting(f"Measuring 1 of 3: what {len(of[few])} images lose without the marked parts"):
        faithful = faithfulness(
            classifier,
            pixels[few],
            on_device[few],
            of[few],
            torch.Generator().manual_seed(seed),
        )
    with waiting("Measuring 2 of 3: whether maps of random networks look the same"):
        randomisation = _randomisation(classifier, pixels[few], of[few], question, seed)
    with waiting(f"Measuring 3 of 3: where the maps of {total} images lie"):
        localisation = localise(
            classifier,
            pixels,
            on_device,
            torch.cat([batch["label"] for batch in batches]),
            classes=classifier.classes,
            bars=_bars(pixels),
            masks=torch.cat([b["mask"] for b in batches]) if "mask" in batches[0] else None,
            seed=seed,
        )
    return Measured(
        question=question,
        faithfulness=faithful,
        randomisation=randomisation,
        localisation=localisation,
        rows=rows,
        maps=torch.cat(maps),
    )


def _bars(images: Tensor) -> Tensor:
    """``(N, S, S)`` bool, True on letterboxes, frames and caption bars."""
    pixels = (images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return torch.from_numpy(np.stack([find_bars(image).mask for image in pixels]))


def _randomisation(
    classifier: FishClassifier, images: Tensor, targets: Tensor, question: Question, seed: int
) -> Randomisation | None:
    slow = question.method.passes_per_channel > 0
    count = RANDOMISED_SLOWLY if slow else RANDOMISED
    targets = targets[:count]

    def make_maps(network: nn.Module, normalized: Tensor) -> Tensor:
        return class_activation_maps(
            network,
            normalized,
            layers=question.layers,
            method=question.method.name,
            targets=targets,
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


def as_json(measured: Measured) -> dict[str, Any]:
    """All numbers, for trust.json; what is undefined is None."""
    question, random = measured.question, measured.randomisation
    content = {
        "method": question.method.name,
        "layer": question.layers[0],
        "target": question.target,
        "verdicts": measured.verdicts,
        "findings": measured.findings,
        "faithfulness": {
            "pictures": len(measured.faithfulness.maps.drop),
            **{
                kind.replace(" ", "_"): {
                    "deletion_area": float(scores.deletion.mean()),
                    "insertion_area": float(scores.insertion.mean()),
                    "average_drop": float(scores.drop.mean()),
                    "increase_in_confidence": float(scores.increase.mean()),
                }
                for kind, scores in measured.kinds.items()
            },
        },
        "curves": {
            kind: {name: curve.tolist() for name, curve in scores.mean_curves._asdict().items()}
            for kind, scores in measured.kinds.items()
        },
        "randomisation": random
        and {
            "pictures": random.images,
            "depths": [asdict(depth) for depth in random.depths],
        },
        "evidence": _localisation(measured.localisation, measured.places),
        "pictures": [
            {
                "path": printable(row.path),
                "true": row.true,
                "predicted": row.top[0][0],
                "probability": row.top[0][1],
                "energy_on_fish": row.energy[0],
            }
            for row in measured.rows
        ],
    }
    plain: dict[str, Any] = finite(content)
    return plain


def _localisation(found: Localisation, places: dict[str, Place]) -> dict[str, Any]:
    shortcut = found.shortcut
    return {
        "overall": {
            name: dict(zip(("energy", "area"), place.overall, strict=True))
            for name, place in places.items()
        },
        "pointing_game": None
        if found.pointing is None
        else dict(zip(found.classes, found.pointing.tolist(), strict=True)),
        "classes": {
            name: {
                place_name: {
                    "energy": float(place.energy[label]),
                    "area": float(place.area[label]),
                    "pictures": int(place.images[label]),
                    "more_than_area": bool(place.more_than_area[label]),
                    "examples": list(place.examples[label]),
                }
                for place_name, place in places.items()
            }
            for label, name in enumerate(found.classes)
        },
        "shortcut": shortcut
        and {
            "patch": shortcut.patch,
            "why": shortcut.why,
            "classes_judged": shortcut.classes,
            "examples": {
                found.classes[label]: list(positions)
                for label, positions in shortcut.examples.items()
            },
        },
    }
