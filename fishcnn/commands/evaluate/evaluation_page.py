"""The report of an evaluation: one HTML file that can be sent to a colleague."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from fishcnn.commands.evaluate.inference import MistakeMaps
from fishcnn.commands.evaluate.results import Results
from fishcnn.commands.labelled_images import LabelledImages
from fishcnn.commands.page_images import (
    InlineImage,
    inline_chart,
    inline_photo,
    read_photo,
    under_map,
)
from fishcnn.commands.templates import render_page
from fishcnn.data.decoding.resize import SQUASH
from fishcnn.data.streaming.shards import Packed
from fishcnn.metrics.classification import ConfusedPair, Counts, confusion_order
from fishcnn.metrics.intervals import wilson_interval
from fishcnn.plots.confusion_matrix import confusion_matrix
from fishcnn.plots.reliability import accuracy_by_confidence, reliability_diagram
from fishcnn.utils.text import printable

# Pixels of the longer side: a card is about half as wide on the screen, or less on a dense one.
_PHOTO_SIDE = 320
_PAIRS_WITH_IMAGES = 8
_MISTAKES_OF_A_PAIR = 2
_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)  # of the most confident images


def evaluation_page(
    results: Results, mistakes: Counts, maps: MistakeMaps | None, made_of: dict[str, str]
) -> bytes:
    """Build the page, in UTF-8.

    All of it is of the images that the network has not learnt from, if there are both kinds. It
    shows the wrong predictions at some positions among these with their Grad-CAM, and names what
    is needed to repeat the evaluation.

    Raises:
        FishError: an image can no longer be read.
    """
    judged, results = results, results.of_new_images()
    scores, chosen = results.scores, results.threshold.chosen
    return render_page(
        "evaluation.html",
        title=f"Evaluation on {results.images.name}",
        names=results.classes,
        images=results.images,
        checkpoint=results.checkpoint,
        scores=scores,
        top=max((k for k in scores.top_k if k < len(results.classes)), default=1),
        plain=results.plain,
        unseen=results.unseen,
        judged=judged,
        all_seen=not results.seen.unseen.any(),
        notes=results.remarks,
        calibration=results.calibration,
        threshold=results.threshold,
        chosen_interval=chosen and wilson_interval(chosen.hits, chosen.kept),
        most_confident=_most_confident(results),
        classes=[_class_row(results, k) for k in results.worst_classes()],
        confusion=_confusion(results),
        reliability=inline_chart(reliability_diagram(scores.reliability, "Reliability")),
        by_confidence=inline_chart(
            accuracy_by_confidence(scores.curve, chosen, "Accuracy against confidence")
        ),
        pairs=[_pair(results, pair) for pair in scores.pairs[:_PAIRS_WITH_IMAGES]],
        mistakes=list(_mistakes(results, mistakes, maps)) if maps else [],
        made_of=made_of,
    )


def _most_confident(results: Results) -> list[tuple[float, float, float]]:
    """Share of the images, lowest confidence among them, and their accuracy."""
    curve = results.scores.curve
    points = np.searchsorted(curve.coverage, np.array(_SHARES) - 1e-9)
    columns = (curve.coverage[points], curve.threshold[points], curve.accuracy[points])
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _class_row(results: Results, k: int) -> dict[str, Any]:
    scores, confused = results.scores.by_class, results.scores.confusion[k].copy()
    hits, confused[k] = int(confused[k]), 0
    return {
        "name": results.classes[k],
        "support": scores.support[k],
        "precision": scores.precision[k],
        "recall": scores.recall[k],
        "interval": wilson_interval(hits, int(scores.support[k])),
        "f1": scores.f1[k],
        "taken_for": results.classes[int(confused.argmax())],
        "mistakes": confused.max(),
    }


def _confusion(results: Results) -> InlineImage:
    order = confusion_order(results.scores.confusion)
    names = [printable(results.classes[k]) for k in order]
    title = printable(f"{results.images.name}: {len(results.images):,} images")
    matrix = results.scores.confusion[np.ix_(order, order)]
    return inline_chart(confusion_matrix(matrix, names, title), dense=True)


def _pair(results: Results, pair: ConfusedPair) -> dict[str, Any]:
    """Mistaken images, and beside them the most confident one of each class that was recognised."""
    scores, labels, names = results.scores, results.images.labels, results.classes
    by_confidence = np.argsort(-scores.confidence, kind="stable")

    def photos(true: int, predicted: int, limit: int) -> Iterator[dict[str, Any]]:
        chosen = (labels == true) & (scores.predicted == predicted)
        for position in by_confidence[chosen[by_confidence]][:limit].tolist():
            yield {
                "src": inline_photo(_photograph(results.images, position)),
                "mistaken": true != predicted,
                "caption": "mistaken" if true != predicted else names[true],
                "confidence": scores.confidence[position],
            }

    return {
        "true": names[pair.true],
        "predicted": names[pair.predicted],
        "number": pair.number,
        "photos": [
            *photos(pair.true, pair.predicted, _MISTAKES_OF_A_PAIR),
            *photos(pair.true, pair.true, 1),
            *photos(pair.predicted, pair.predicted, 1),
        ],
    }


def _photograph(images: LabelledImages, position: int) -> Image.Image:
    path = images.root / images.paths[position]
    if isinstance(images.pixels, Packed) and not path.is_file():
        # What is left of a file that has stayed where it was packed.
        image = Image.fromarray(images.take(np.array([position]))[0])
        if images.resize == SQUASH:
            width, height = images.facts["size"][position].tolist()
            scale = _PHOTO_SIDE / max(width, height)
            image = image.resize((max(1, round(width * scale)), max(1, round(height * scale))))
        return image
    image = read_photo(path, _PHOTO_SIDE, images.resize)
    image.thumbnail((_PHOTO_SIDE, _PHOTO_SIDE), Image.Resampling.LANCZOS)
    return image


def _mistakes(results: Results, positions: Counts, maps: MistakeMaps) -> Iterator[dict[str, Any]]:
    """Wrong predictions with what spoke for them."""
    for position, for_predicted, for_true in zip(positions.tolist(), *maps, strict=True):
        path, true = results.images.paths[position], results.images.labels[position]
        image = _photograph(results.images, position)
        of_true = float(results.probabilities[position, true])
        yield {
            "path": path.as_posix(),
            "true": results.classes[true],
            "of_true": of_true,
            "loss": -math.log(max(of_true, 1e-300)),
            "predicted": results.classes[results.scores.predicted[position]],
            "confidence": results.scores.confidence[position],
            "photos": {
                "image": inline_photo(image),
                "for the answer": inline_photo(under_map(image, for_predicted)),
                "for the true class": inline_photo(under_map(image, for_true)),
            }.items(),
        }
