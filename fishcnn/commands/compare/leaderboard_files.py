"""A leaderboard as Markdown and as tables, and in the terminal."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from fishcnn.commands.compare.configurations import Configuration
from fishcnn.commands.compare.leaderboard import (
    RANKED_BY,
    Ranking,
    command_of,
    different_data,
)
from fishcnn.commands.compare.leaderboard_rows import pair_row, run_row
from fishcnn.commands.compare.pairs import shown_p
from fishcnn.commands.compare.varied import in_words, shown_name, shown_value
from fishcnn.commands.terminal import fitted_table, print_raw, terminal_for_tables
from fishcnn.utils.errors import typed
from fishcnn.utils.text import (
    counted,
    interval_cell,
    markdown,
    markdown_code,
    percent,
    points,
    printable,
    to_cell,
)

# Columns of several lines.
WORDS = ("run", "best run", "varied", "against the best")


def runs_table(rankings: Sequence[Ranking]) -> str:
    """A row of CSV for each run, the best first."""
    rows = []
    for one in rankings:
        for place, configuration in enumerate((*one.board.ranked, *one.board.waiting)):
            rank = place + 1 if configuration.runs else None
            rows += [
                {"data": one.board.data, "rank": rank, **run_row(run, one)}
                for run in (*configuration.runs, *configuration.unfinished)
            ]
    return _csv(rows)


def pairs_table(rankings: Sequence[Ranking]) -> str:
    """A row of CSV for each comparison; only a row of names where there is none."""
    rows = [
        {"data": one.board.data, **pair_row(pair, one)}
        for one in rankings
        for pair in one.pairs.pairs.values()
    ]
    return _csv(rows)


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = io.StringIO(newline="")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(lines, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return lines.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    return to_cell(printable(typed(value)))


def page(rankings: Sequence[Ranking], figures: Sequence[Sequence[str]]) -> str:
    """The leaderboard as Markdown.

    Args:
        rankings: one for each data.
        figures: the names of the files of each.
    """
    lines = ["# Leaderboard", ""]
    if different := different_data(rankings):
        lines += [markdown(different), ""]
    if any(one.board.ranked for one in rankings):
        lines += [markdown(RANKED_BY), ""]
    for one, drawn in zip(rankings, figures, strict=True):
        if len(rankings) > 1:
            lines += [f"## {markdown(heading(one))}", ""]
        lines += _markdown_table(*_main_table(one))
        lines += [f"- {markdown(sentence)}" for sentence in one.sentences()]
        if one.board.ranked:
            best = one.board.ranked[0].best_run
            what, command = command_of(best)
            lines += ["", f"{what}:", "", markdown_code(command), ""]
        if one.knobs.knobs:
            lines += ["### Which setting mattered", "", markdown(one.knobs.remark()), ""]
            lines += _markdown_table(*_effects_table(one))
        for name in drawn:
            lines += [f"![{name}]({name})", ""]
        if one.board.runs:
            lines += ["### Runs", ""]
            lines += _markdown_table(*_runs_table(one))
    return "\n".join(lines).rstrip() + "\n"


Cells = tuple[list[str], list[list[str]]]


def _main_table(one: Ranking, *, in_one_column: bool = False) -> Cells:
    """Names of columns, and a row of texts for each configuration.

    What was varied has a column for each setting, or one for all.
    """
    names = [] if in_one_column else [shown_name(name) for name in one.shown]
    varied = ["varied"] if in_one_column else names
    head = [
        *("rank", "best run" if one.has_repeats else "run", "runs", *varied),
        *("accuracy", "95% interval", "images", "macro F1", "energy on fish"),
        *("epochs", "seconds", "state", "against the best"),
    ]
    rows = []
    for place, configuration in enumerate((*one.board.ranked, *one.board.waiting)):
        ranked = bool(configuration.runs)
        run = configuration.best_run if ranked else configuration.any_run
        energy = configuration.mean("energy")
        rows.append(
            [
                str(place + 1) if ranked else "-",
                run.name if ranked or not one.has_repeats else "",
                _runs(configuration) if one.has_repeats else "",
                *([one.label(configuration)] if in_one_column else []),
                *([] if in_one_column else [in_words(n, shown_value(run, n)) for n in one.shown]),
                percent(configuration.accuracy) if ranked else _state(configuration),
                interval_cell(configuration.interval),
                str(configuration.images) if ranked else "",
                _number(configuration.mean("val_f1"), ".3f"),
                "" if energy is None else percent(energy),
                _number(configuration.mean("epochs"), ".4g"),
                _number(configuration.mean("seconds"), ",.0f"),
                _state(configuration),
                one.remark(place) if ranked else "",
            ]
        )
    # Without those that say nothing here.
    told = [any(cells) for cells in zip(*rows, strict=True)]
    return list(compress(head, told)), [list(compress(row, told)) for row in rows]


def _runs_table(one: Ranking) -> Cells:
    head = ["rank", "run", *map(shown_name, one.repeats)]
    head += ["accuracy", "best epoch", "state", "checkpoint"]
    rows = []
    for place, configuration in enumerate((*one.board.ranked, *one.board.waiting)):
        for run in (*configuration.runs, *configuration.unfinished):
            epoch = run.number("best_epoch")
            rows.append(
                [
                    str(place + 1) if configuration.runs else "-",
                    run.name,
                    *(shown_value(run, name) for name in one.repeats),
                    percent(run.number("val_acc")),
                    "" if epoch is None else f"{epoch:.0f} of {run.number('epochs') or epoch:.0f}",
                    run.shown_state,
                    str(run.summary.get("checkpoint") or ""),
                ]
            )
    return head, rows


def _effects_table(one: Ranking) -> Cells:
    rows = [
        [
            knob.name,
            points(knob.effect.spread),
            ""
            if knob.effect.p_value is None
            else shown_p(knob.effect.p_value).removeprefix("p ").removeprefix("= "),
            "; ".join(
                f"{level}: {percent(mean)}" + (f" ± {percent(half)}" if math.isfinite(half) else "")
                for level, mean, half in zip(
                    knob.shown,
                    knob.effect.means.tolist(),
                    knob.effect.half_widths.tolist(),
                    strict=True,
                )
            ),
        ]
        for knob in one.knobs.knobs
    ]
    return ["setting", "from lowest to highest", "p", "mean accuracy by value"], rows


def heading(one: Ranking) -> str:
    """A board where there are several."""
    runs = counted(len(one.board.runs), "run")
    return f"{one.board.data}: {runs}, {one.board.images} validation images"


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    texts = [
        [cell if cell == "---" else markdown(printable(cell)) for cell in row] for row in lines
    ]
    return [f"| {' | '.join(row)} |" for row in texts] + [""]


def _runs(configuration: Configuration) -> str:
    done, others = configuration.runs, configuration.unfinished
    return f"{len(done)} of {len(done) + len(others)}" if others else str(len(done))


def _state(configuration: Configuration) -> str:
    states = dict.fromkeys(
        run.shown_state for run in (*configuration.unfinished, *configuration.runs)
    )
    return ", ".join(states)


def _number(value: float | None, how: str) -> str:
    return "" if value is None else format(value, how)


def print_leaderboard(rankings: Sequence[Ranking], files: Sequence[Path], most: int) -> None:
    """Print the tables, what they mean, the command of the best, and where the files are.

    Args:
        rankings: one for each data.
        files: that were written.
        most: rows of a table; 0 for none.
    """
    console = terminal_for_tables()
    if different := different_data(rankings):
        console.print(Text(different, style="bold"))
    if any(len(one.board.ranked) > 1 for one in rankings):
        console.print(Text(RANKED_BY))
    for one in rankings:
        if len(rankings) > 1:
            console.print(Text(f"\n{heading(one)}", style="bold"))
        if most:
            console.print(_terminal_table(one, most, console.width))
        left = len(one.board.ranked) + len(one.board.waiting) - most
        if most and left > 0:
            console.print(f"and {left} more; the files have all")
        for sentence in one.sentences():
            console.print(Text(printable(sentence)))
        if one.knobs.knobs and not (one.knobs.balanced and one.knobs.separable):
            console.print(Text(one.knobs.remark()))
        for knob in one.knobs.knobs[:3]:
            console.print(
                Text(f"{knob.name}: {effect_note(knob.effect.spread, knob.effect.p_value)}")
            )
        if one.board.ranked:
            best = one.board.ranked[0].best_run
            checkpoint = best.summary.get("checkpoint")
            what, command = command_of(best)
            print_raw(console, [f"\n{what} ({checkpoint}):", f"  {command}"])
    print_raw(console, ["", *files])


def effect_note(spread: float, p_value: float | None) -> str:
    """How large an effect is, in words."""
    size = f"{points(spread)} from lowest to highest mean"
    return size if p_value is None else f"{size}, {shown_p(p_value)}"


def _terminal_table(one: Ranking, most: int, width: int) -> Table:
    head, rows = _main_table(one, in_one_column=True)
    # What is the same for all rows, or stands in another column, is left to the files.
    same = {name for name, *cells in zip(head, *rows, strict=True) if len({*cells} - {""}) == 1}
    left_out = {"state"} | (same & {"images"}) | (set() if one.names else {"varied"})
    kept = [name not in left_out for name in head]
    rows = [[printable(cell) for cell in compress(row, kept)] for row in rows[:most]]
    spare = ("epochs", "macro F1", "energy on fish", "images", "seconds", "best run")
    return fitted_table(list(compress(head, kept)), rows, width, WORDS, spare)
