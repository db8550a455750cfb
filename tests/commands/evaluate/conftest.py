"""Results of an evaluation that was never run: known probabilities of rendered pictures."""

from pathlib import Path

import numpy as np
import pytest

from fishcnn.commands.evaluate.labelled import Labelled
from fishcnn.commands.evaluate.logits import Explained
from fishcnn.commands.evaluate.results import (
    Calibration,
    CalibrationLine,
    Results,
    Threshold,
    score,
)
from fishcnn.data.image_folder import scan_folder
from fishcnn.metrics.selective_prediction import keep, lowest_threshold, selective_curve

# Names that a folder may well have, and that no page, terminal or font likes.
CLASSES = ["<script>alert(1)</script>", 'Tom & "Jerry\'s" [bold]', "r\udcffi"]


@pytest.fixture
def results(fish: Path) -> Results:
    """12 pictures a class; two of the first are taken for the second, one the other way round."""
    listing = scan_folder(fish / "pictures")
    answers = listing.labels.copy()
    answers[:2], answers[12] = 1, 0
    confidence = np.linspace(0.6, 0.95, len(answers))
    probabilities = np.repeat((1 - confidence)[:, None] / 2, 3, axis=1)
    probabilities[np.arange(len(answers)), answers] = confidence
    scores = score(probabilities, listing.labels, 2)
    curve = selective_curve(scores.confidence, scores.right)
    chosen = lowest_threshold(curve, 0.9)
    assert chosen is not None
    line = CalibrationLine("as it was", 1.0, scores.reliability.ece, scores.log_loss)
    return Results(
        checkpoint=fish / "best.ckpt",
        classes=CLASSES,
        pictures=Labelled(
            name="validation",
            root=listing.root,
            paths=listing.paths,
            labels=listing.labels,
            images=np.zeros((len(answers), 8, 8, 3), np.uint8),
            rows=np.arange(len(answers)),
        ),
        probabilities=probabilities,
        scores=scores,
        calibration=Calibration([line], None, False, 1.0, "Nothing was fitted."),
        curve=curve,
        threshold=Threshold(
            0.9, "validation", chosen, keep(scores.confidence, scores.right, chosen.threshold)
        ),
        plain=scores,
        remarks=["Look out for <b>markup</b>."],
    )


@pytest.fixture
def explained() -> Explained:
    """Maps of three mistakes."""
    maps = np.linspace(0, 1, 3 * 8 * 8, dtype=np.float32).reshape(3, 8, 8)
    return Explained(maps, maps[:, ::-1])
