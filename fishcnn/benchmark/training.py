"""How fast each contender trains, on small and on large images."""

import csv
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from fishcnn.benchmark.jpegs import SPECIES, draw_jpegs
from fishcnn.benchmark.process import Measured, measure_alone, run, scratch_folder
from fishcnn.utils.machine import cache_folder
from fishcnn.utils.run_folder import RunFolder

PLAIN, WORKERS, FISHCNN, LIMIT = "plain recipe", "plain recipe, 2 workers", "fishcnn", "limit"
CONTENDERS = (PLAIN, WORKERS, FISHCNN, LIMIT)
IMAGE_SIZE = 128  # of experiment=seed

# This project over the plain recipe and over the limit, from the second epoch on.
TARGETS = {
    "cpu": {"small": (3.0, 0.92), "large": (8.0, 0.92)},
    "cuda": {"small": (100.0, 0.85), "large": (100.0, 0.85)},
}


def measure_training(config: DictConfig) -> dict[str, list[dict[str, Any]]]:
    """Let all contenders train in turn, each in a process of its own.

    Returns:
        ``rows``, medians over the repetitions, by contender and ``epoch``: ``1``, which pays for
        setting up, or ``later``. ``peak_memory`` is that of the process in bytes, ``data_wait`` the
        share of the time in which the next batch was not ready. ``ratios`` of this project to the
        plain recipe and to the limit are those from the second epoch on.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    settings = config.training
    rows: list[dict[str, Any]] = []
    ratios: list[dict[str, Any]] = []
    for photos in settings.photos:
        root = draw_jpegs(
            cache_folder(config.cache_root) / "benchmark",
            photos,
            train=settings.pictures[photos],
            val=SPECIES,
            workers=config.workers,
        )
        for blocks in settings.blocks:
            for batch in settings.batches:
                cell = {"photos": photos, "blocks": blocks, "batch": batch}
                measured = _measure_cell(config, root, blocks, batch)
                rows += [{**cell, "device": device, **row} for row in measured]
                later = [row for row in measured if row["epoch"] == "later"]
                speed = {row["contender"]: row["images_per_second"] for row in later}
                for over, target in zip((PLAIN, LIMIT), TARGETS[device][photos], strict=True):
                    value = speed[FISHCNN] / speed[over]
                    wanted = {"value": value, "target": target, "met": value >= target}
                    ratios.append({**cell, "over": over, **wanted})
    return {"rows": rows, "ratios": ratios}


def _measure_cell(config: DictConfig, root: Path, blocks: int, batch: int) -> list[dict[str, Any]]:
    """Measure all contenders, alternating; return the medians of each."""
    measured: dict[str, list[Measured]] = {name: [] for name in CONTENDERS}
    for repetition in range(config.training.repetitions):
        # The other way round every second time, so that none always comes first.
        for contender in CONTENDERS if repetition % 2 == 0 else CONTENDERS[::-1]:
            measured[contender].append(_measure(contender, config, root, blocks, batch))
    rows = []
    for contender, results in measured.items():
        for epoch, part in (("1", slice(0, 1)), ("later", slice(1, None))):
            row: dict[str, Any] = {"contender": contender, "epoch": epoch}
            for name in ("images_per_second", "data_wait"):
                row[name] = statistics.median(v for found, _ in results for v in found[name][part])
            row["peak_memory"] = statistics.median(memory for _, memory in results)
            rows.append(row)
    return rows


def _measure(contender: str, config: DictConfig, root: Path, blocks: int, batch: int) -> Measured:
    """Train once; ``images_per_second`` and ``data_wait`` of each epoch, and the peak memory."""
    settings, threads = config.training, config.threads
    if contender == FISHCNN:
        return _train_fishcnn(config, root, blocks, batch)
    job = {"blocks": blocks, "batch": batch, "epochs": settings.epochs, "image_size": IMAGE_SIZE}
    if contender == LIMIT:
        job |= {"classes": SPECIES, "steps": settings.limit_steps}
        return measure_alone("limit", job, threads=threads)
    job |= {"root": str(root), "workers": 2 if contender == WORKERS else 0}
    return measure_alone("plain", job, threads=threads)


def _train_fishcnn(config: DictConfig, root: Path, blocks: int, batch: int) -> Measured:
    """Train as a user does: all defaults, but no maps and logs, and an empty cache at first.

    The first epoch includes all that came before the first step but imports.
    """
    with scratch_folder() as scratch:
        folder = RunFolder(scratch / "run")
        _, peak_memory = run(
            "-c",
            "from fishcnn.commands.cli import start; start('train')",
            "experiment=seed",
            "data=folder",
            f"data.root={root}",
            f"data.cache_root={scratch / 'cache'}",
            f"data.image_size={IMAGE_SIZE}",
            f"data.batch_size={batch}",
            f"model.blocks={blocks}",
            f"trainer.max_epochs={config.training.epochs}",
            "callbacks.grad_cam.enabled=false",
            "callbacks.train_batch.enabled=false",
            "logger=none",
            f"hydra.run.dir={folder.path}",
            threads=config.threads,
            folder=scratch,
        )
        summary = json.loads(folder.summary.read_text(encoding="utf-8"))
        split = json.loads(folder.split.read_text(encoding="ascii"))
        with folder.metrics.open(newline="", encoding="utf-8") as file:
            history = list(csv.DictReader(file))
    speeds = [float(epoch["train_images_per_second"]) for epoch in history]
    waits = [float(epoch["data_wait"]) for epoch in history]
    before, training = summary["seconds_to_first_step"], len(split["train"]) / speeds[0]
    speeds[0] = len(split["train"]) / (before + training)
    waits[0] = (before + training * waits[0]) / (before + training)
    return {"images_per_second": speeds, "data_wait": waits}, peak_memory
