"""The files of an evaluation that are for a machine."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fishcnn.commands.evaluate.results import Results, Scores
from fishcnn.metrics.calibration import true_class
from fishcnn.metrics.classification import Counts, Floats
from fishcnn.metrics.selective_prediction import Kept
from fishcnn.utils.text import finite


def write_files(results: Results, folder: Path) -> None:
    """Write ``evaluation.json`` and ``predictions.csv``."""
    # ASCII with escapes, as file names need not be valid Unicode.
    text = json.dumps(content(results), indent=1, allow_nan=False)
    (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    pictures = results.pictures
    write_predictions(
        folder / "predictions.csv",
        pictures.paths,
        results.classes,
        pictures.labels,
        results.probabilities,
    )


def content(results: Results) -> dict[str, Any]:
    """The content of ``evaluation.json``; what is undefined is None."""
    scores, by_class = results.scores, results.scores.by_class
    bins, calibration, threshold = scores.reliability, results.calibration, results.threshold
    columns = (by_class.support, by_class.precision, by_class.recall, by_class.f1)
    found = {
        "checkpoint": str(results.checkpoint),
        "pictures": {"name": results.pictures.name, "root": str(results.pictures.root)},
        **_numbers(scores),
        "classes": [
            dict(zip(("name", "support", "precision", "recall", "f1"), row, strict=True))
            for row in zip(results.classes, *(c.tolist() for c in columns), strict=True)
        ],
        "confusion": scores.confusion.tolist(),
        "confused_pairs": [
            {
                "true": results.classes[pair.true],
                "predicted": results.classes[pair.predicted],
                "count": pair.number,
                "share": pair.share,
            }
            for pair in scores.pairs
        ],
        "calibration": {
            "temperature": calibration.used,
            "fitted": calibration.fit and calibration.fit.temperature,
            "stored": calibration.stored,
            "remark": calibration.remark,
            "lines": [line._asdict() for line in calibration.lines],
            "ece_by_chance": scores.ece_by_chance,
            "bins": {
                "edges": bins.edges.tolist(),
                "count": bins.count.tolist(),
                "confidence": bins.confidence.tolist(),
                "accuracy": bins.accuracy.tolist(),
            },
        },
        "threshold": {
            "wanted": threshold.wanted,
            "chosen_on": threshold.chosen_on,
            "chosen": _kept(threshold.chosen),
            "applied": _kept(threshold.applied),
        },
        "tta": results.plain and {"without": _numbers(results.plain), "with": _numbers(scores)},
        "remarks": results.remarks,
    }
    plain: dict[str, Any] = finite(found)
    return plain


def write_predictions(
    file: Path,
    paths: Sequence[Path],
    classes: Sequence[str],
    labels: Counts,
    probabilities: Floats,
) -> None:
    """Write a line for each picture: path, true class, predicted class, both probabilities.

    Args:
        file: to be written.
        paths: N, relative to the folder of the pictures.
        classes: K names.
        labels: int64 ``(N,)``.
        probabilities: ``(N, K)``.
    """
    columns = zip(
        paths,
        labels.tolist(),
        probabilities.argmax(1).tolist(),
        probabilities.max(1).tolist(),
        true_class(probabilities, labels).tolist(),
        strict=True,
    )
    with file.open("w", encoding="utf-8", errors="backslashreplace", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["path", "true", "predicted", "probability", "probability_of_true"])
        for path, label, guess, probability, of_true in columns:
            shares = (f"{probability:.6g}", f"{of_true:.6g}")
            writer.writerow([path.as_posix(), classes[label], classes[guess], *shares])


def _numbers(scores: Scores) -> dict[str, Any]:
    return {
        "pictures_judged": len(scores.right),
        "hits": int(scores.right.sum()),
        "accuracy": scores.accuracy,
        "accuracy_interval": scores.interval,
        "macro_precision": scores.macro.precision,
        "macro_recall": scores.macro.recall,
        "macro_f1": scores.macro.f1,
        "top_k": {str(k): share for k, share in scores.top_k.items()},
        "log_loss": scores.log_loss,
        "ece": scores.reliability.ece,
    }


def _kept(kept: Kept | None) -> dict[str, Any] | None:
    if kept is None:
        return None
    return {
        "threshold": kept.threshold,
        "precision": kept.precision,
        "coverage": kept.coverage,
        "kept": kept.kept,
        "hits": kept.hits,
        "total": kept.total,
    }
