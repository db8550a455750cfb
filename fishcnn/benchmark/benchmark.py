"""Run what ``conf/benchmark.yaml`` names, print it as tables and write ``benchmark.json``."""

import json
import platform
import re
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from rich.table import Table

from fishcnn.benchmark import planted_duplicates
from fishcnn.benchmark.jpegs import SIZES
from fishcnn.benchmark.process import measure_alone
from fishcnn.benchmark.recipes import (
    EXPERIMENTS,
    RESULTS,
    check_recipes,
    markdown,
    measure_recipes,
    summarise,
)
from fishcnn.benchmark.training import MET, MISSED, measure_training
from fishcnn.commands.output_folder import output_folder
from fishcnn.commands.settings import check_settings, plain
from fishcnn.commands.terminal import Terminal, print_raw
from fishcnn.data.rendering.species import SPECIES
from fishcnn.utils.checks import choice, either, flag, number, optional, several, text, whole
from fishcnn.utils.files import write_text
from fishcnn.utils.machine import usable_cpus
from fishcnn.utils.versions import versions

PARTS = ("training", "duplicates", "cams", "results")
_WANTED = {
    "parts": either(choice(*PARTS), several(choice(*PARTS))),
    "training.photos": several(choice(*SIZES)),
    "training.blocks": several(whole(1, 7)),  # of images of 128 pixels
    "training.batches": several(whole(2, 65536)),
    "training.rounds": whole(2),
    "training.seconds": number(0),
    **{f"training.pictures.{size}": whole(2, 100_000) for size in SIZES},
    "training.limit_steps": whole(1),
    "training.stream": flag,
    "duplicates.species": whole(2, len(SPECIES)),
    "duplicates.pictures_per_class": whole(2, 100_000),
    "duplicates.long_side": whole(48, 1024),
    "duplicates.per_kind": whole(1),
    "duplicates.seed": whole(0),
    "cams.batch": whole(1, 65536),
    "cams.image_size": whole(2, 4096),
    "cams.blocks": whole(1, 12),
    "cams.repetitions": whole(1),
    "results.experiments": several(choice(*EXPERIMENTS)),
    "results.seeds": several(whole(0, 2**32 - 1)),
    "results.overrides": either(choice([]), several(text)),
    "threads": optional(whole(1, 1024)),
    "workers": whole(0, 1024),
}


def check_benchmark(config: DictConfig) -> None:
    """Check the settings of the benchmark, or raise a FishError that names one."""
    check_settings(config, _WANTED)
    if "results" in _parts(config):
        check_recipes(config)


def _parts(config: DictConfig) -> list[str]:
    return [config.parts] if isinstance(config.parts, str) else list(config.parts)


def benchmark(config: DictConfig) -> None:
    """Measure, print and write what ``conf/benchmark.yaml`` says.

    Raises:
        FishError: a setting is out of range, or a contender failed.
    """
    check_benchmark(config)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    machine = {"processor": _processor(), "cores": usable_cpus(), "gpu": gpu}
    result: dict[str, Any] = {"machine": machine | versions()}
    with output_folder(config.output, Path()) as output:
        _measure(config, result, output)


def _processor() -> str:
    """What the processor is called; Python itself does not know on Linux."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    model = re.search(r"model name\s*: (.+)", told)
    return model[1] if model else platform.processor()


def _measure(config: DictConfig, result: dict[str, Any], output: Path) -> None:
    console, file = Terminal(), output / "benchmark.json"
    for part in _parts(config):
        if part == "results":
            _print_results(console, config, result["machine"], output)
            continue
        if part == "training":
            result |= measure_training(config)
            _print_training(console, result)
        elif part == "duplicates":
            places = {"workers": config.workers, "cache_root": config.cache_root}
            result[part] = planted_duplicates.measure({**plain(config.duplicates), **places})
            _print_mapping(console, "Planted near-duplicates", result[part])
        else:
            result[part], _ = measure_alone("cams", plain(config.cams), threads=config.threads)
            _print_mapping(console, "Grad-CAM of one batch", result[part])
        # After each part: a run that is stopped has not measured for nothing.
        write_text(file, json.dumps(result, indent=1) + "\n")
    written = {output / RESULTS if part == "results" else file for part in _parts(config)}
    print_raw(console, [f"written: {one.resolve()}" for one in sorted(written)])


def _print_results(
    console: Terminal, config: DictConfig, machine: dict[str, Any], output: Path
) -> None:
    runs = []
    for one in measure_recipes(config, machine, output):
        runs.append(one)
        told = f"{one['accuracy']:.3f} after {one['epochs']} epochs, {one['seconds']:.0f} s"
        print_raw(console, [f"experiment={one['experiment']} seed={one['seed']}: {told}"])
    recipes = summarise(runs)
    processor = machine["gpu"] or f"{machine['cores']} cores of {machine['processor']}"
    print_raw(
        console,
        [
            "",
            *markdown(recipes),
            "",
            f"Accuracy after the last epoch on {recipes[0]['images']} validation images; the "
            "interval of the mean is Wilson's for so many images, which all seeds share.",
            f"{processor}, torch {machine['torch']}.",
        ],
    )


def _print_training(console: Terminal, result: dict[str, Any]) -> None:
    columns = ("photos", "blocks", "batch", "epoch")
    names = list(dict.fromkeys(row["contender"] for row in result["rows"]))
    table = Table(*columns, *names, title="Training images per second")
    cells: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for row in result["rows"]:
        cell = tuple(str(row[name]) for name in columns)
        cells.setdefault(cell, {})[row["contender"]] = row
    for cell, rows in cells.items():
        table.add_row(*cell, *(f"{rows[name]['images_per_second']:.1f}" for name in names))
    console.print(table)
    title = "Speeds from the second turn on"
    table = Table("cell", "", "times", "95% interval", "target", title=title)
    for ratio in result["ratios"]:
        where = ", ".join(str(ratio[name]) for name in columns[:3])
        low, high = ratio["interval"]
        numbers = f"{ratio['value']:.2f}", f"{low:.2f} to {high:.2f}"
        target, verdict = ratio["target"], ratio["verdict"]
        colour = {MET: "green", MISSED: "red"}.get(verdict, "yellow")
        judged = f"{target:g}: [{colour}]{verdict}[/{colour}]" if verdict else ""
        table.add_row(where, f"{ratio['of']} / {ratio['over']}", *numbers, judged)
    console.print(table)


def _print_mapping(console: Terminal, title: str, result: dict[str, Any]) -> None:
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
