"""What an evaluation writes for machines and prints for people; the page is built elsewhere."""

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape

from fishcnn.commands.evaluate.results import Results, Scores
from fishcnn.commands.terminal import Terminal, plain_table, print_raw
from fishcnn.metrics.calibration import true_class
from fishcnn.metrics.selective_prediction import Kept
from fishcnn.utils.files import write_text
from fishcnn.utils.run_folder import EVALUATION, EVALUATION_PAGE, EVALUATION_PREDICTIONS
from fishcnn.utils.text import finite, interval_95, percent, printable, to_cell

_LISTED = 5


def write_json(results: Results, file: Path) -> None:
    """Write all numbers; what is undefined is null."""
    scores, by_class = results.scores, results.scores.by_class
    bins, threshold = scores.reliability, results.threshold
    columns = (by_class.support, by_class.precision, by_class.recall, by_class.f1)
    found = {
        "checkpoint": str(results.checkpoint),
        "pictures": {"name": results.images.name, "root": str(results.images.root)},
        **_numbers(scores),
        "trained_on": {
            "identical": int(results.seen.identical.sum()),
            "near_duplicates": int(results.seen.near.sum()),
            "validation": int(results.seen.chosen.sum()),
            "not_checked": results.seen.not_checked,
            "without": results.unseen and _numbers(results.unseen),
        },
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
            **asdict(results.calibration),
            "ece_by_chance": scores.ece_by_chance,
            "bins": {
                name: getattr(bins, name).tolist()
                for name in ("edges", "count", "confidence", "accuracy")
            },
        },
        "threshold": {
            **asdict(threshold),
            "chosen": _kept(threshold.chosen),
            "applied": _kept(threshold.applied),
        },
        "tta": results.plain and {"without": _numbers(results.plain), "with": _numbers(scores)},
        "remarks": results.remarks,
    }
    # ASCII with escapes, as file names need not be valid Unicode.
    write_text(file, json.dumps(finite(found), indent=1, allow_nan=False) + "\n")


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
    return asdict(kept) | {"precision": kept.precision, "coverage": kept.coverage}


def write_predictions(results: Results, file: Path) -> None:
    """Write a row of CSV for each image: path, true class, predicted class, both probabilities."""
    images, probabilities, scores = results.images, results.probabilities, results.scores
    columns = zip(
        images.paths,
        images.labels.tolist(),
        scores.predicted.tolist(),
        scores.confidence.tolist(),
        true_class(probabilities, images.labels).tolist(),
        strict=True,
    )
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    writer.writerow(["path", "true", "predicted", "probability", "probability_of_true"])
    for path, label, guess, probability, of_true in columns:
        texts = path.as_posix(), results.classes[label], results.classes[guess]
        writer.writerow([*map(to_cell, texts), f"{probability:.6g}", f"{of_true:.6g}"])
    write_text(file, lines.getvalue(), errors="backslashreplace")


def print_results(results: Results, output: Path) -> None:
    """Print the numbers, the most frequent mistakes, and where the files are."""
    console = Terminal()
    judged, results = results, results.of_new_images()
    scores, applied = results.scores, results.threshold.applied
    total, few = len(judged.images), len(results.images)
    rows = {
        "images": f"{few} ({_escaped(results.images.name)})"
        if few == total
        else f"{few} of {total} ({_escaped(results.images.name)}), those not trained on",
        "accuracy": f"[bold]{percent(scores.accuracy)}[/bold]  ({_of(results)})",
        "without tta": results.plain and percent(results.plain.accuracy),
        "mean of classes": f"precision {scores.macro.precision:.3f}, "
        f"recall {scores.macro.recall:.3f}, F1 {scores.macro.f1:.3f}",
        **{
            f"top-{k}": percent(share)
            for k, share in scores.top_k.items()
            if 1 < k < len(results.classes)  # all are among as many as there are
        },
        **{
            f"{line.name.split(':')[0]} temperature": (
                f"{line.temperature:.3f} (calibration error {percent(line.ece)}, "
                f"log-loss {line.log_loss:.3f})"
            )
            for line in results.calibration.lines
        },
        f"for {percent(results.threshold.wanted, 0)} precision": "not reached at any confidence"
        if applied is None
        else f"at confidence {applied.shown_threshold} or more: "
        f"{percent(applied.coverage)} of these images",
        f"all {total} images": results.unseen
        and f"accuracy {percent(judged.scores.accuracy)}  "
        f"({interval_95(judged.scores.interval)}; {total - few} of them known from training)",
    }
    table = plain_table()
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    console.print(table)
    if results.scores.pairs:
        pairs = plain_table("true class", "taken for", "images", "of the class")
        for pair in results.scores.pairs[:_LISTED]:
            names = (results.classes[pair.true], results.classes[pair.predicted])
            pairs.add_row(*map(_escaped, names), str(pair.number), percent(pair.share, 0))
        console.print(pairs)
    for remark in [results.calibration.remark, *results.remarks]:
        console.print(_escaped(remark), highlight=False)
    written = (EVALUATION_PAGE, EVALUATION, EVALUATION_PREDICTIONS)
    print_raw(console, (output / name for name in written))


def _of(results: Results) -> str:
    """What the accuracy is of, and its interval."""
    interval = interval_95(results.headline.interval)
    if results.unseen:
        return f"{interval}; {len(results.unseen.right)} images, none of them trained on"
    if not results.seen.unseen.any():
        return f"{interval}; all of them trained on"
    return interval


def _escaped(name: str) -> str:
    """A name for rich, in which brackets are no markup."""
    return escape(printable(name))
