"""What is said of an explanation: report.md, and the lines on the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.markup import escape

from fishcnn.commands.explain.explanation_rows import Row
from fishcnn.commands.explain.measurements import Measured
from fishcnn.commands.explain.question import Question
from fishcnn.commands.templates import render
from fishcnn.commands.terminal import Terminal, plain_table, print_raw
from fishcnn.utils import run_folder
from fishcnn.utils.run_folder import EXPLANATION_TABLE
from fishcnn.utils.text import percent

LISTED = 50  # rows of the report; the others are in the table
PRINTED = 20


@dataclass
class Explanation:
    """What is reported.

    Attributes:
        images: what was explained, for people.
        rows: the first :data:`LISTED` of the total.
        on_sheet: how many are on the contact sheet.
        remarks: what else a reader has to know.
    """

    checkpoint: Path
    question: Question
    images: str
    rows: list[Row] = field(default_factory=list)
    total: int = 0
    unreadable: int = 0
    on_sheet: int = 0
    measured: Measured | None = None
    remarks: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Count an image."""
        self.total += 1
        self.unreadable += row.error is not None
        if len(self.rows) < LISTED:
            self.rows.append(row)


def report(explanation: Explanation) -> str:
    """Write the report as Markdown."""
    return render(
        "explanation_report.md",
        e=explanation,
        places=_places(explanation.measured),
        names=run_folder,
    )


def _places(measured: Measured | None) -> dict[str, list[str]]:
    """For each kind of place, a cell for each class: the maps' energy on it, and its area."""
    return {
        name: [
            f"{percent(energy, 0)} ({percent(area, 0)})" + (" !" if more else "")
            if energy == energy
            else "-"
            for energy, area, more in zip(
                place.energy, place.area, place.more_than_area, strict=True
            )
        ]
        for name, place in (measured.places.items() if measured else ())
    }


def print_explanation(explanation: Explanation, files: Sequence[Path]) -> None:
    """Print the first rows, the verdicts, what was found, and where the files are."""
    console = Terminal()
    question, rows = explanation.question, explanation.rows[:PRINTED]
    head = f"{question.method.name} at {', '.join(question.layers)}: {question.in_words}"
    console.print(escape(head), highlight=False)
    columns = {
        # Where the true class is known, it is the name of the folder.
        "image": [row.short_path if row.true is None else row.name for row in rows],
        "true": [row.true or "-" for row in rows],
        "predicted": [row.predicted for row in rows],
    }
    if question.names_its_class:
        columns["map of"] = [row.map_of for row in rows]
    if any(share is not None for row in explanation.rows for share in row.energy):
        columns["on the fish"] = [row.on_fish for row in rows]
    table = plain_table(*columns)
    for row, cells in zip(rows, zip(*columns.values(), strict=True), strict=True):
        table.add_row(*map(escape, cells), style="red" if row.wrong or row.error else "")
    console.print(table)
    if explanation.total > PRINTED:
        console.print(f"and {explanation.total - PRINTED} more in {EXPLANATION_TABLE}")
    if explanation.measured is not None:
        for title, lines in (
            ("Are the maps faithful to the network?", explanation.measured.verdicts),
            ("Does it look at the fish?", explanation.measured.localisation.findings),
        ):
            console.print(f"\n[bold]{title}[/bold]")
            for line in lines:
                console.print(f"- {escape(line)}", highlight=False)
        console.print()
    for remark in explanation.remarks:
        console.print(escape(remark), highlight=False)
    print_raw(console, files)
