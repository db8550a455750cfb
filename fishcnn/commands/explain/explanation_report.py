"""What is said of an explanation: its page, and the lines on the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from rich.markup import escape
from rich.table import Column

from fishcnn.cam.localisation import Found, Place
from fishcnn.commands.explain.drawing import Pixels, about_panels
from fishcnn.commands.explain.explanation_rows import Row
from fishcnn.commands.explain.measurements import Measured
from fishcnn.commands.explain.question import Question
from fishcnn.commands.page_images import InlineImage, inline_photo
from fishcnn.commands.templates import render_page, software
from fishcnn.commands.terminal import Terminal, plain_table, print_raw
from fishcnn.utils import run_folder
from fishcnn.utils.run_folder import EXPLANATION_TABLE

LISTED = 60  # images on the page: some 2 MB; the others are in the table and in their folder
PRINTED = 20


@dataclass
class Explanation:
    """What is reported.

    Attributes:
        images: what was explained, for people.
        rows: the first :data:`LISTED` of the total, each with its panels as data URIs by name;
            without any where it cannot be read.
        remarks: what else a reader has to know.
        measured, curves, examples: whether the maps can be trusted, where that was asked for; for
            each thing that was found, images that show it, as data URIs.
    """

    checkpoint: Path
    question: Question
    images: str
    rows: list[tuple[Row, dict[str, str]]] = field(default_factory=list)
    total: int = 0
    unreadable: int = 0
    remarks: list[str] = field(default_factory=list)
    measured: Measured | None = None
    curves: InlineImage | None = None
    examples: list[tuple[Found, list[tuple[Row, str]]]] = field(default_factory=list)

    def add(self, row: Row, panels: Mapping[str, Pixels]) -> None:
        """Count an image, and keep its panels, uint8 ``(H, W, 3)``, if it is one of the first."""
        self.total += 1
        self.unreadable += row.error is not None
        if len(self.rows) < LISTED:
            shown = {name: inline_photo(Image.fromarray(panel)) for name, panel in panels.items()}
            self.rows.append((row, shown))


def explanation_page(explanation: Explanation) -> bytes:
    """Build the page, in UTF-8."""
    question, measured = explanation.question, explanation.measured
    places = measured.places if measured else {}
    places = {f"on the {name}": place for name, place in places.items() if place.images.any()}
    return render_page(
        "explanation.html",
        title="Where the network looks",
        e=explanation,
        question=question,
        note=about_panels(question),
        measured=measured,
        places=places,
        by_class=_by_class(measured, places) if measured else [],
        names=run_folder,
        made_of={
            "checkpoint": str(explanation.checkpoint),
            "images": explanation.images,
            "maps": f"{question.method.name} at {', '.join(question.layers)}",
            "method": question.method.paper,
            "software": software(),
        },
    )


def _by_class(measured: Measured, places: dict[str, Place]) -> list[dict[str, Any]]:
    """A row for each class with images: where its maps lie."""
    found = measured.localisation
    rows = [
        {
            "name": name,
            "images": found.border.images[label],
            "places": [
                # On the fish is where a map belongs.
                (p.energy[label], p.area[label], p.more_than_area[label] and p is not found.fish)
                for p in places.values()
            ],
        }
        for label, name in enumerate(found.classes)
    ]
    return [row for row in rows if row["images"]]


def print_explanation(explanation: Explanation, files: Sequence[Path]) -> None:
    """Print the first rows, the verdicts, what was found, and where the files are."""
    console = Terminal()
    question, rows = explanation.question, [row for row, _ in explanation.rows[:PRINTED]]
    head = f"{question.method.name} at {', '.join(question.layers)}: {question.in_words}"
    console.print(escape(head), highlight=False)
    columns = {
        "image": [row.name for row in rows],
        "true": [row.true or "-" for row in rows],
        "predicted": [row.predicted for row in rows],
    }
    if question.names_its_class:
        columns["map of"] = [row.map_of for row in rows]
    if any(share is not None for row, _ in explanation.rows for share in row.energy):
        columns["on the fish"] = [row.on_fish for row in rows]
    # The file stands at the end of a name, where a narrow terminal would cut it.
    table = plain_table(*(Column(name, overflow="fold") for name in columns))
    for row, cells in zip(rows, zip(*columns.values(), strict=True), strict=True):
        table.add_row(*map(escape, cells), style="red" if row.wrong or row.error else "")
    console.print(table)
    if explanation.total > PRINTED:
        console.print(f"and {explanation.total - PRINTED} more in {EXPLANATION_TABLE}")
    if explanation.measured is not None:
        for title, lines in (
            ("Are the maps faithful to the network?", explanation.measured.verdicts),
            ("Does it look at the fish?", explanation.measured.findings),
        ):
            console.print(f"\n[bold]{title}[/bold]")
            for line in lines:
                console.print(f"- {escape(line)}", highlight=False)
        console.print()
    for remark in explanation.remarks:
        console.print(escape(remark), highlight=False)
    print_raw(console, files)
