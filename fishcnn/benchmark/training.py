"""How fast each contender trains, on small and on large photos."""

import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from fishcnn.benchmark import engine
from fishcnn.benchmark.photos import SPECIES, draw_photos
from fishcnn.benchmark.process import run_module

PLAIN, WORKERS, ENGINE, LIMIT = "plain recipe", "plain recipe, 2 workers", "fishcnn", "limit"
CONTENDERS = (PLAIN, WORKERS, ENGINE, LIMIT)
IMAGE_SIZE = 128  # of experiment=seed

# This project over the plain recipe and over the limit, from the second epoch on.
TARGETS = {
    "cpu": {"small": (3.0, 0.92), "large": (8.0, 0.92)},
    "cuda": {"small": (100.0, 0.85), "large": (100.0, 0.85)},
}


@dataclass(frozen=True)
class Row:
    """One measurement: a median over repetitions.

    Attributes:
        contender: one of :data:`CONTENDERS`.
        photos: ``"small"`` or ``"large"``.
        blocks, batch: depth of the network and pictures a batch.
        epoch: ``"1"``, which pays for setting up, or ``"later"``.
        device: ``"cpu"`` or ``"cuda"``.
        images_per_second: training pictures.
        peak_memory: largest resident set of the process in bytes.
        data_wait: share of the time in which the next batch was not ready.
    """

    contender: str
    photos: str
    blocks: int
    batch: int
    epoch: str
    device: str
    images_per_second: float
    peak_memory: float
    data_wait: float


@dataclass(frozen=True)
class Ratio:
    """This project against another contender, from the second epoch on.

    Attributes:
        photos, blocks, batch: of the two rows.
        over: the other contender.
        value: how many times as many images per second.
        target: what was wanted.
    """

    photos: str
    blocks: int
    batch: int
    over: str
    value: float
    target: float

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.value >= self.target


def measure_training(config: DictConfig) -> tuple[list[Row], list[Ratio]]:
    """Let all contenders train in turn, each in a process of its own.

    Args:
        config: ``conf/benchmark.yaml``.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    settings = config.training
    rows: list[Row] = []
    ratios: list[Ratio] = []
    for photos in settings.photos:
        root = draw_photos(
            Path(config.cache_root).expanduser() / "benchmark",
            photos,
            train=settings.pictures[photos],
            val=SPECIES,
            workers=config.workers,
        )
        for blocks in settings.blocks:
            for batch in settings.batches:
                cell = _measure_cell(config, root, blocks, batch)
                rows += [
                    Row(photos=photos, blocks=blocks, batch=batch, device=device, **measured)
                    for measured in cell
                ]
                ratios += _ratios(rows, photos, blocks, batch, device)
    return rows, ratios


def _measure_cell(
    config: DictConfig, root: Path, blocks: int, batch: int
) -> Iterator[dict[str, Any]]:
    """Measure all contenders, alternating; yield the medians of each."""
    measured: dict[str, list[tuple[dict[str, Any], int]]] = {name: [] for name in CONTENDERS}
    for repetition in range(config.training.repetitions):
        # The other way round every second time, so that none always comes first.
        order = CONTENDERS if repetition % 2 == 0 else CONTENDERS[::-1]
        for contender in order:
            measured[contender].append(_measure(contender, config, root, blocks, batch))
    for contender, results in measured.items():
        for epoch in ("1", "later"):
            part = slice(0, 1) if epoch == "1" else slice(1, None)

            yield {
                "contender": contender,
                "epoch": epoch,
                **{
                    name: statistics.median(v for result, _ in results for v in result[name][part])
                    for name in ("images_per_second", "data_wait")
                },
                "peak_memory": statistics.median(memory for _, memory in results),
            }


def _measure(
    contender: str, config: DictConfig, root: Path, blocks: int, batch: int
) -> tuple[dict[str, Any], int]:
    settings, threads = config.training, config.threads
    common = {"blocks": blocks, "batch": batch, "epochs": settings.epochs, "image_size": IMAGE_SIZE}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if contender == ENGINE:
            overrides = engine_overrides(root, folder / "cache", blocks, batch, settings.epochs)
            return engine.measure(overrides, folder=folder, threads=threads)
        if contender == LIMIT:
            more = {"classes": SPECIES, "steps": settings.limit_steps}
            module = "fishcnn.benchmark.limit"
        else:
            more = {"root": str(root), "workers": 2 if contender == WORKERS else 0}
            module = "fishcnn.benchmark.plain"
        return run_module(module, {**common, **more}, threads=threads, folder=folder)


def engine_overrides(root: Path, cache: Path, blocks: int, batch: int, epochs: int) -> list[str]:
    """What is typed to let this project train on the photos: all defaults, but no maps and logs."""
    return [
        "experiment=seed",
        "data=folder",
        f"data.root={root}",
        f"data.cache_root={cache}",
        f"data.image_size={IMAGE_SIZE}",
        f"data.batch_size={batch}",
        f"model.blocks={blocks}",
        f"trainer.max_epochs={epochs}",
        "callbacks.grad_cam.enabled=false",
        "logger=none",
    ]


def _ratios(rows: list[Row], photos: str, blocks: int, batch: int, device: str) -> list[Ratio]:
    speed = {
        row.contender: row.images_per_second
        for row in rows
        if (row.photos, row.blocks, row.batch, row.epoch) == (photos, blocks, batch, "later")
    }
    targets = TARGETS[device][photos]
    return [
        Ratio(photos, blocks, batch, over, speed[ENGINE] / speed[over], target)
        for over, target in zip((PLAIN, LIMIT), targets, strict=True)
    ]


def as_json(rows: list[Row], ratios: list[Ratio]) -> dict[str, Any]:
    """What ``benchmark.json`` holds of this part."""
    return {
        "rows": [asdict(row) for row in rows],
        "ratios": [{**asdict(ratio), "met": ratio.met} for ratio in ratios],
    }
