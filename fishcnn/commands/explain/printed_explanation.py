"""What an explanation prints."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fishcnn.commands.explain.explanation_report import (
    Summary,
    asked,
    predicted,
    shares,
    short_path,
)
from fishcnn.commands.explain.measurements_json import verdicts
from fishcnn.utils.text import printable

_LISTED = 20


def print_summary(summary: Summary, output: Path, files: Sequence[str]) -> None:
    """Print the first rows, the verdicts, what was found, and where the files are.

    Args:
        summary: of the explanation.
        output: folder of its files.
        files: their names.
    """
    console = Console()
    question = summary.question
    at = ", ".join(question.layers)
    console.print(escape(f"{question.method} at {at}: {asked(question)}"), highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    knows_fish = any(share is not None for row in summary.rows for share in row.energy)
    table.add_column("picture")
    table.add_column("true")
    table.add_column("predicted")
    if question.names_its_class:
        table.add_column("map of")
    if knows_fish:
        table.add_column("on the fish")
    for row in summary.rows[:_LISTED]:
        # Where the true class is known, it is the name of the folder.
        path = short_path(row) if row.true is None else Path(row.path).name
        cells = [path, row.true or "-", predicted(row)]
        if question.names_its_class:
            cells.append(row.map_of)
        if knows_fish:
            cells.append(shares(row.energy))
        style = "red" if row.wrong or row.error else ""
        table.add_row(*map(escape, cells), style=style)
    console.print(table)
    if summary.total > _LISTED:
        console.print(f"and {summary.total - _LISTED} more in explanations.csv", highlight=False)
    if summary.measured is not None:
        for title, lines in (
            ("Is the explanation to be trusted?", verdicts(summary.measured)),
            ("Does it look at the fish?", summary.measured.evidence.findings),
        ):
            console.print(f"\n[bold]{title}[/bold]")
            for line in lines:
                console.print(f"- {escape(line)}", highlight=False)
        console.print()
    for remark in summary.remarks:
        console.print(escape(remark), highlight=False)
    # Raw: a table would cut them, and they are there to be copied.
    for name in files:
        path = printable(str(output / name))
        console.print(path, soft_wrap=True, markup=False, highlight=False)
