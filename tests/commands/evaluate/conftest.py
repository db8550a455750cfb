"""Results of an evaluation that was never run: known probabilities of rendered images."""

from pathlib import Path

import numpy as np
import pytest

from fishcnn.commands.evaluate.inference import MistakeMaps
from fishcnn.commands.evaluate.results import Results, choose_threshold, score
from fishcnn.commands.evaluate.seen_images import SeenImages
from fishcnn.commands.evaluate.temperature import Calibration, CalibrationLine
from fishcnn.commands.labelled_images import LabelledImages
from fishcnn.data.duplicates.fingerprint import FINGERPRINT_BYTES
from fishcnn.data.image_folder import scan_folder
from fishcnn.data.image_index import FACTS
from fishcnn.metrics.classification import Counts

# Names that a folder may well have, and that no page, terminal or font likes.
CLASSES = ["<script>alert(1)</script>", 'Tom & "Jerry\'s" [bold]', "r\udcffi"]


def results_of(fish: Path, classes: list[str], labels: Counts, answers: Counts) -> Results:
    """Results of 36 rendered images with these labels and answers, both int64 ``(36,)``."""
    index = scan_folder(fish / "pictures")
    confidence = np.linspace(0.6, 0.95, 36)
    others = (1 - confidence) / (len(classes) - 1)
    probabilities = np.repeat(others[:, None], len(classes), axis=1)
    probabilities[np.arange(36), answers] = confidence
    scores = score(probabilities, labels, 2)
    seen = np.zeros(36, bool)
    line = CalibrationLine("stored", 1.0, scores.reliability.ece, scores.log_loss)
    return Results(
        checkpoint=fish / "best.ckpt",
        classes=classes,
        images=LabelledImages(
            name="validation",
            root=index.root,
            paths=index.paths,
            labels=labels,
            pixels=np.zeros((36, 8, 8, 3), np.uint8),
            rows=np.arange(36),
            facts=np.zeros(36, FACTS),
            fingerprints=np.zeros((36, FINGERPRINT_BYTES), np.uint8),
        ),
        probabilities=probabilities,
        scores=scores,
        calibration=Calibration([line], None, False, 1.0, "Nothing was fitted."),
        threshold=choose_threshold(0.9, "validation", probabilities, labels, scores),
        seen=SeenImages(seen, seen, seen, None),
        unseen=None,
        plain=scores,
        remarks=["Look out for <b>markup</b>."],
    )


@pytest.fixture
def results(fish: Path) -> Results:
    """12 images a class; two of the first are taken for the second, one the other way round."""
    labels = np.repeat(np.arange(3), 12)
    answers = labels.copy()
    answers[:2], answers[12] = 1, 0
    return results_of(fish, CLASSES, labels, answers)


@pytest.fixture(params=[2, 20, 100])
def of_many_classes(fish: Path, request: pytest.FixtureRequest) -> Results:
    """Of 2, 20 or 100 classes of long names, half the images taken for the next class."""
    classes = [f"harlequin_triggerfish_{k}" for k in range(request.param)]
    labels = np.arange(36) % len(classes)
    answers = (labels + (np.arange(36) < 18)) % len(classes)
    return results_of(fish, classes, labels, answers)


@pytest.fixture
def maps() -> MistakeMaps:
    """Maps of three mistakes."""
    heat = np.linspace(0, 1, 3 * 8 * 8, dtype=np.float32).reshape(3, 8, 8)
    return MistakeMaps(heat, heat[:, ::-1])


@pytest.fixture
def right_on_average(fish: Path) -> Results:
    """The less confident answers are all right, and too few of the more confident ones."""
    labels = np.arange(36) % 3
    answers = labels.copy()
    answers[20:28] = (labels[20:28] + 1) % 3
    return results_of(fish, ["koi", "rui", "tilapia"], labels, answers)
