"""This project, as a user runs it: ``scripts/train.py`` with a cache that is empty at first."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fishcnn.benchmark.process import run

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train.py"


def measure(
    overrides: Sequence[str], *, folder: Path, threads: int | None
) -> tuple[dict[str, Any], int]:
    """Train, and say how fast each epoch was.

    Args:
        overrides: of ``scripts/train.py``.
        folder: an empty one, for the run.
        threads: of torch; None for its own choice.

    Returns:
        ``images_per_second`` and ``data_wait`` of the training part of each epoch, where the first
        one includes all that came before the first step but imports; ``summary``, the content of
        ``summary.json``; and the peak memory in bytes.
    """
    finished = run(
        [str(SCRIPT), f"hydra.run.dir={folder}", *overrides], threads=threads, folder=folder
    )
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        epochs = list(csv.DictReader(file))
    speeds = [float(epoch["train_images_per_second"]) for epoch in epochs]
    waits = [float(epoch["data_wait"]) for epoch in epochs]
    split = json.loads((folder / "split.json").read_text(encoding="ascii"))
    training = len(split["train"]) / speeds[0]
    whole = training + summary["seconds_to_first_step"]
    waits[0] = (summary["seconds_to_first_step"] + training * waits[0]) / whole
    speeds[0] = len(split["train"]) / whole
    result = {"images_per_second": speeds, "data_wait": waits, "summary": summary}
    return result, finished.peak_memory
