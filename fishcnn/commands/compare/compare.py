"""The comparison of runs: what is read, what is written, what is printed."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from omegaconf import DictConfig

from fishcnn.commands.compare.found_runs import FoundRun, find_runs
from fishcnn.commands.compare.knobs import Knob
from fishcnn.commands.compare.leaderboard import Ranking, leaderboard
from fishcnn.commands.compare.leaderboard_files import (
    effect_note,
    page,
    pairs_table,
    print_leaderboard,
    runs_table,
)
from fishcnn.commands.compare.leaderboard_rows import to_json
from fishcnn.commands.compare.pairs import ALPHA
from fishcnn.commands.figures import save_figure
from fishcnn.commands.output_folder import all_or_nothing, output_folder
from fishcnn.commands.settings import check_settings
from fishcnn.plots.accuracy_by_seconds import accuracy_by_seconds
from fishcnn.plots.effect_chart import Effect, effect_chart
from fishcnn.plots.heat_map import heat_map
from fishcnn.utils.checks import several, text, whole
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import write_text
from fishcnn.utils.machine import user_path
from fishcnn.utils.run_folder import (
    COMPARISON,
    LEADERBOARD,
    LEADERBOARD_PAGE,
    LEADERBOARD_TABLE,
    PAIRS_TABLE,
    RunFolder,
)
from fishcnn.utils.text import finite

Floats = NDArray[np.float64]

_TABLES = (LEADERBOARD_PAGE, LEADERBOARD_TABLE, LEADERBOARD, PAIRS_TABLE)
_FIGURES = ("main_effects", "heat_map", "accuracy_by_seconds")


def check_compare(config: DictConfig) -> None:
    """Check the settings of a comparison, or raise a FishError that names one."""
    check_settings(config, {"paths": several(text), "rows": whole(0)})


def compare(config: DictConfig) -> None:
    """Write a leaderboard of runs as Markdown, CSV, JSON and figures, and print it.

    Raises:
        FishError: a setting is at fault, no run is there, or the output folder cannot be written.
    """
    check_compare(config)
    paths = list(config.paths)
    try:
        runs = find_runs(paths)
    except FishError as error:
        raise FishError(f"paths: {error}") from error
    place = user_path(paths[0])
    alone = len(paths) == 1 and place.is_dir() and not RunFolder(place).config.is_file()
    with output_folder(config.output, (place if alone else Path()) / COMPARISON) as output:
        write_leaderboard(runs, output, rows=config.rows)


def compare_sweep(sweep: Path, *, rows: int) -> None:
    """Write the leaderboard of a sweep into its folder, and print it.

    Where no job has finished, nothing is written.

    Args:
        sweep: its folder.
        rows: of the table in the terminal; 0 for no table.

    Raises:
        FishError: the disk is full or may not be written to, or somebody else compares it.
    """
    runs = find_runs([str(sweep)])
    if any(run.ranks for run in runs):
        with output_folder(None, sweep / COMPARISON) as output:
            write_leaderboard(runs, output, rows=rows)


def write_leaderboard(runs: Sequence[FoundRun], output: Path, *, rows: int) -> list[Ranking]:
    """Compare runs, write all files of the comparison in place of earlier ones, and print it.

    Args:
        runs: one or more.
        output: a folder that nobody else writes to.
        rows: of the table in the terminal; 0 for no table.

    Raises:
        FishError: the disk is full or may not be written to.
    """
    rankings = leaderboard(runs)
    with all_or_nothing(output, lambda: _earlier(output)) as folder:
        figures: list[list[str]] = []
        for number, one in enumerate(rankings, 1):
            drawn = _drawn(one)
            suffix = f"_{number}" if len(rankings) > 1 else ""
            figures.append([f"{name}{suffix}.png" for name in drawn])
            for file, figure in zip(figures[-1], drawn.values(), strict=True):
                save_figure(figure, folder / file)
        content = json.dumps(finite(to_json(rankings)), indent=1, allow_nan=False)
        write_text(folder / LEADERBOARD, content + "\n")
        write_text(folder / LEADERBOARD_TABLE, runs_table(rankings))
        write_text(folder / PAIRS_TABLE, pairs_table(rankings))
        write_text(folder / LEADERBOARD_PAGE, page(rankings, figures))
    names = [*_TABLES, *(name for some in figures for name in some)]
    print_leaderboard(rankings, [output / name for name in names], rows)
    return rankings


def _earlier(output: Path) -> list[Path]:
    """What an earlier comparison has left in a folder, and nothing else."""
    if not (output / LEADERBOARD).is_file():
        return []
    known = re.compile(rf"({'|'.join(_FIGURES)})(_\d+)?\.png")
    figures = (file for file in output.iterdir() if known.fullmatch(file.name))
    return [*(output / name for name in _TABLES), *figures]


def _drawn(one: Ranking) -> dict[str, Figure]:
    """The figures of a board, by name; of a single configuration none."""
    figures: dict[str, Figure] = {}
    knobs = one.knobs.knobs
    if knobs:
        effects = [
            Effect(
                knob.name,
                knob.shown,
                knob.effect.means,
                knob.effect.half_widths,
                effect_note(knob.effect.spread, knob.effect.p_value),
                knob.effect.p_value is not None and knob.effect.p_value <= ALPHA,
            )
            for knob in knobs
        ]
        figures["main_effects"] = effect_chart(effects, "Which setting mattered")
    if len(knobs) > 1:
        first, second = knobs[:2]
        means = _crossed(first, second, one.knobs.accuracies)
        figures["heat_map"] = heat_map(
            means,
            first.shown,
            second.shown,
            (first.name, second.name),
            "Mean validation accuracy by two settings",
        )
    timed = one.board.ranked
    if len(timed) > 1 and all((c.mean("seconds") or 0) > 0 for c in timed):
        figures["accuracy_by_seconds"] = accuracy_by_seconds(
            np.array([c.mean("seconds") for c in timed]),
            np.array([c.accuracy for c in timed]),
            np.array([c.interval for c in timed]).T,
            [one.label(c) for c in timed],
            "Validation accuracy and time; each number is the rank",
            f"95% interval: what {one.interval_is_of} would give",
        )
    return figures


def _crossed(first: Knob, second: Knob, accuracies: Floats) -> Floats:
    """The mean of each pair of levels; NaN where no run has it."""
    shape = (len(first.levels), len(second.levels))
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, (first.level_of, second.level_of), accuracies)
    np.add.at(count, (first.level_of, second.level_of), 1)
    means: Floats = np.divide(total, count, out=np.full(shape, np.nan), where=count > 0)
    return means
