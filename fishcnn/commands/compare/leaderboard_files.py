"""A leaderboard as Markdown and as tables, and in the terminal."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Column
from rich.text import Text

from fishcnn.commands.compare.configurations import Configuration
from fishcnn.commands.compare.leaderboard import (
    RANKED_BY,
    Ranking,
    command_of,
    different_data,
    pair_row,
    run_row,
)
from fishcnn.commands.compare.pairs import shown_p
from fishcnn.commands.compare.varied import shown_name, shown_value
from fishcnn.commands.terminal import Terminal, plain_table, print_raw
from fishcnn.utils.errors import typed
from fishcnn.utils.text import (
    interval_cell,
    markdown,
    markdown_code,
    percent,
    points,
    printable,
    to_cell,
)


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
    for one, drawn in zip(rankings, figures, strict=True):
        if len(rankings) > 1:
            lines += [f"## {markdown(one.board.data)}", ""]
        lines += [markdown(RANKED_BY), ""] if one.board.ranked else []
        lines += _markdown_table(*_main_table(one))
        lines += [f"- {markdown(sentence)}" for sentence in one.sentences()]
        if one.board.ranked:
            best = one.board.ranked[0].best_run
            lines += ["", "Train the best again:", "", markdown_code(command_of(best)), ""]
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


def _main_table(one: Ranking) -> Cells:
    """Names of columns, and a row of texts for each configuration."""
    energy = any(c.mean("energy") is not None for c in one.board.ranked)
    head = [
        *("rank", "runs" if one.has_repeats else "run"),
        *map(shown_name, one.names),
        *("accuracy", "95% interval", "images", "macro F1"),
        *(["energy on fish"] if energy else []),
        *("epochs", "seconds", "state", "against the best"),
    ]
    rows = []
    for place, configuration in enumerate((*one.board.ranked, *one.board.waiting)):
        ranked = bool(configuration.runs)
        run = configuration.any_run
        rows.append(
            [
                str(place + 1) if ranked else "-",
                _runs(configuration),
                *(shown_value(run, name) for name in one.names),
                percent(configuration.accuracy),
                interval_cell(configuration.interval),
                str(configuration.images) if ranked else "",
                _number(configuration.mean("val_f1"), ".3f"),
                *([percent(configuration.mean("energy"))] if energy else []),
                _number(configuration.mean("epochs"), ".4g"),
                _number(configuration.mean("seconds"), ",.0f"),
                _state(configuration),
                one.verdict(place) if ranked and len(one.board.ranked) > 1 else "",
            ]
        )
    return head, rows


def _runs_table(one: Ranking) -> Cells:
    head = ["run", *map(shown_name, one.repeats), "accuracy", "best epoch", "state", "checkpoint"]
    rows = []
    for configuration in (*one.board.ranked, *one.board.waiting):
        for run in (*configuration.runs, *configuration.unfinished):
            epoch = run.number("best_epoch")
            rows.append(
                [
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
                    knob.levels,
                    knob.effect.means.tolist(),
                    knob.effect.half_widths.tolist(),
                    strict=True,
                )
            ),
        ]
        for knob in one.knobs.knobs
    ]
    return ["setting", "from lowest to highest", "p", "mean accuracy by value"], rows


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    texts = [
        [cell if cell == "---" else markdown(printable(cell)) for cell in row] for row in lines
    ]
    return [f"| {' | '.join(row)} |" for row in texts] + [""]


def _runs(configuration: Configuration) -> str:
    done, others = configuration.runs, configuration.unfinished
    if len(done) + len(others) == 1:
        return configuration.any_run.name
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
    console = Terminal(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = 120  # a log file can be scrolled
    if different := different_data(rankings):
        console.print(Text(different, style="bold"))
    for one in rankings:
        if len(rankings) > 1:
            console.print(Text(f"\n{one.board.data}", style="bold"))
        if most:
            console.print(_terminal_table(one, most))
        left = len(one.board.ranked) + len(one.board.waiting) - most
        if most and left > 0:
            console.print(f"and {left} more; the files have all")
        ranked_by = [RANKED_BY] if len(one.board.ranked) > 1 else []
        for sentence in (*ranked_by, *one.sentences()):
            console.print(Text(printable(sentence)))
        for knob in one.knobs.knobs[:3]:
            console.print(
                Text(f"{knob.name}: {effect_note(knob.effect.spread, knob.effect.p_value)}")
            )
        if one.board.ranked:
            best = one.board.ranked[0].best_run
            checkpoint = best.summary.get("checkpoint")
            print_raw(console, [f"\nTrain the best again ({checkpoint}):", f"  {command_of(best)}"])
    print_raw(console, ["", *files])


def effect_note(spread: float, p_value: float | None) -> str:
    """How large an effect is, in words."""
    size = f"{points(spread)} from lowest to highest mean"
    return size if p_value is None else f"{size}, {shown_p(p_value)}"


def _terminal_table(one: Ranking, most: int) -> Any:  # noqa: ANN401 - rich's table
    energy = any(c.mean("energy") is not None for c in one.board.ranked)
    numbers = ["accuracy", "95% interval", "F1", *(["on fish"] if energy else []), "epochs", "time"]
    table = plain_table(
        Column("rank", justify="right"),
        Column("runs" if one.has_repeats else "run", overflow="fold"),
        Column("varied", overflow="fold", ratio=3),
        *(Column(name, justify="right", no_wrap=True) for name in numbers),
        Column("against the best", overflow="fold", ratio=2),
    )
    for place, configuration in enumerate((*one.board.ranked, *one.board.waiting)[:most]):
        ranked = bool(configuration.runs)
        seconds = configuration.mean("seconds")
        several = ranked and len(one.board.ranked) > 1
        cells = [
            str(place + 1) if ranked else "-",
            _runs(configuration),
            one.label(configuration) if one.names else "",
            percent(configuration.accuracy) if ranked else _state(configuration),
            interval_cell(configuration.interval),
            _number(configuration.mean("val_f1"), ".3f"),
            *([percent(configuration.mean("energy"))] if energy else []),
            _number(configuration.mean("epochs"), ".4g"),
            "" if seconds is None else f"{seconds:,.0f} s",
            one.verdict(place) if several else "",
        ]
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table
