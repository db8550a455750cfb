"""Run what ``conf/benchmark.yaml`` names, print it as tables and write ``benchmark.json``."""

import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from fishcnn.benchmark.accuracy import measure_accuracy
from fishcnn.benchmark.cams import measure_cams
from fishcnn.benchmark.duplicates import measure_planted_twins
from fishcnn.benchmark.growth import measure_growth
from fishcnn.benchmark.photos import SPECIES, draw_photos
from fishcnn.benchmark.process import run_module
from fishcnn.benchmark.training import (
    Ratio,
    Row,
    as_json,
    engine_overrides,
    measure_training,
)
from fishcnn.utils.errors import FishError
from fishcnn.utils.versions import versions

PARTS = ("training", "duplicates", "growth", "accuracy", "cams")


def benchmark(config: DictConfig) -> None:
    """Measure, print and write.

    Args:
        config: ``conf/benchmark.yaml``.

    Raises:
        FishError: there is no such part, or a contender failed.
    """
    parts = [config.parts] if isinstance(config.parts, str) else config.parts
    for part in parts:
        if part not in PARTS:
            raise FishError(f"parts={part}: there is {', '.join(PARTS)}")
    console = Console()
    result: dict[str, Any] = {"machine": machine()}
    file = Path(config.output or ".").expanduser() / "benchmark.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    for part in parts:
        if part == "training":
            rows, ratios = measure_training(config)
            result |= as_json(rows, ratios)
            _print_training(console, rows, ratios)
            missed = [ratio for ratio in ratios if not ratio.met]
            if missed:
                result["profile"] = _profile(config, missed[0])
                _print_profile(console, missed[0], result["profile"])
        elif part == "duplicates":
            result[part] = measure_planted_twins(config)
            _print_mapping(console, "Planted near-duplicates", result[part])
        elif part == "growth":
            result[part] = measure_growth(config)
            _print_growth(console, result[part])
        elif part == "cams":
            result[part] = measure_cams(config)
            _print_mapping(console, "Grad-CAM of one batch", result[part])
        else:
            result[part] = measure_accuracy(config)
            _print_mapping(console, "Accuracy after the last epoch", result[part])
        # After each part: a run that is stopped has not measured for nothing.
        file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    console.print(f"written: {file.resolve()}", soft_wrap=True, highlight=False)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"processor": platform.processor(), "cores": os.cpu_count(), "gpu": gpu, **versions()}


def _print_training(console: Console, rows: list[Row], ratios: list[Ratio]) -> None:
    table = Table(title="Training images per second")
    for name in ("photos", "blocks", "batch", "contender", "epoch"):
        table.add_column(name)
    for name in ("images/s", "peak memory", "waits for data"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.photos,
            str(row.blocks),
            str(row.batch),
            row.contender,
            row.epoch,
            f"{row.images_per_second:.1f}",
            f"{row.peak_memory / 1e6:.0f} MB",
            f"{row.data_wait:.0%}",
            end_section=row.contender == "limit" and row.epoch == "later",
        )
    console.print(table)
    table = Table(title="fishcnn against the others, from the second epoch on")
    for name in ("photos", "blocks", "batch", "over"):
        table.add_column(name)
    for name in ("times", "target", ""):
        table.add_column(name, justify="right")
    for ratio in ratios:
        met = "[green]met[/green]" if ratio.met else "[red]missed[/red]"
        names = (ratio.photos, str(ratio.blocks), str(ratio.batch), ratio.over)
        table.add_row(*names, f"{ratio.value:.2f}", f"{ratio.target:g}", met)
    console.print(table)


def _profile(config: DictConfig, missed: Ratio) -> dict[str, Any]:
    """Profile this project where a target was missed."""
    root = draw_photos(
        Path(config.cache_root).expanduser() / "benchmark",
        missed.photos,
        train=config.training.pictures[missed.photos],
        val=SPECIES,
        workers=config.workers,
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        overrides = engine_overrides(root, folder / "cache", missed.blocks, missed.batch, 2)
        result, _ = run_module(
            "fishcnn.benchmark.profile", overrides, threads=config.threads, folder=folder
        )
    return result


def _print_profile(console: Console, missed: Ratio, result: dict[str, Any]) -> None:
    shares = ", ".join(f"{kind} {share:.0%}" for kind, share in result["shares"].items())
    slowest = ", ".join(f"{name} {share:.0%}" for name, share in result["operators"].items())
    console.print(
        f"A target is missed with {missed.photos} photos, {missed.blocks} blocks and batches of "
        f"{missed.batch}. What holds it: {shares}. The operators that take longest: {slowest}.",
        markup=False,
        highlight=False,
    )


def _print_growth(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table(title="Cost of the data, in milliseconds a picture")
    columns = (
        "pictures",
        "decode",
        "find duplicates",
        "open again",
        "peak memory",
        "bytes/picture",
    )
    for name in columns:
        table.add_column(name, justify="right")
    for row in rows:
        grown = row["bytes_per_picture"]
        table.add_row(
            f"{row['pictures']:,}",
            f"{row['decode_ms']:.2f}",
            f"{row['duplicates_ms']:.2f}",
            f"{row['reopen_ms']:.3f}",
            f"{row['peak_memory'] / 1e6:.0f} MB",
            "" if grown is None else f"{grown:,.0f}",
        )
    console.print(table)


def _print_mapping(console: Console, title: str, result: dict[str, Any]) -> None:
    table = Table(title=title, show_header=False)
    for name, value in result.items():
        table.add_row(name.replace("_", " "), _readable(value))
    console.print(table)


def _readable(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_readable(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_readable, value))
    return f"{value:.3f}" if isinstance(value, float) else str(value)
