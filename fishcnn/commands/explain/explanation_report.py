"""report.md: what was found, in plain words."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fishcnn.cam.localisation import Place
from fishcnn.cam.methods import METHODS
from fishcnn.commands.explain.examples import Example
from fishcnn.commands.explain.explanation_rows import Row
from fishcnn.commands.explain.measurements import Measured, judged
from fishcnn.commands.explain.measurements_json import verdicts
from fishcnn.commands.explain.question import Question

LISTED = 50  # rows; the others are in explanations.csv

TRUST_PAPERS = (
    "Deletion and insertion: Petsiuk et al., RISE, BMVC 2018",
    "Average drop and increase in confidence: Chattopadhay et al., Grad-CAM++, WACV 2018",
    "Parameter randomisation: Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018",
    "Energy on the fish: Wang et al., Score-CAM, CVPR Workshops 2020",
    "Pointing game: Zhang et al., Excitation backprop, IJCV 2018",
)


@dataclass(frozen=True)
class Summary:
    """What is reported.

    Attributes:
        checkpoint: the network's file.
        question: what was asked.
        pictures: what was explained, for people.
        rows: the first :data:`LISTED`.
        total: how many there are.
        unreadable: how many of them cannot be read.
        on_sheet: how many of them are on the contact sheet.
        measured: None where nothing was measured.
        examples: that go with the findings.
        remarks: what else a reader has to know.
    """

    checkpoint: Path
    question: Question
    pictures: str
    rows: Sequence[Row]
    total: int
    unreadable: int
    on_sheet: int
    measured: Measured | None
    examples: Sequence[Example]
    remarks: Sequence[str]


def report(summary: Summary) -> str:
    """Write the report as Markdown."""
    question = summary.question
    parts = [
        "# Where the network looks, and whether that is to be trusted",
        f"Network: {markdown(str(summary.checkpoint))}",
        f"Maps: {question.method} at {markdown(', '.join(question.layers))} "
        f"({METHODS[question.method].paper}), {markdown(asked(question))}",
        *(markdown(remark) for remark in summary.remarks),
    ]
    if summary.measured is not None:
        parts += _trust(summary.measured, question)
        parts += _evidence(summary.measured, summary.examples)
    parts += _pictures(summary)
    if summary.measured is not None:
        parts += ["## Papers", _listed(TRUST_PAPERS)]
    return "\n\n".join(parts) + "\n"


def asked(question: Question) -> str:
    """What the maps are of, in words."""
    names = {"predicted": "the predicted class", "true": "the true class", "True": "the true class"}
    target = names.get(str(question.target), f"class {question.target}")
    if not METHODS[question.method].looks_at_class:
        return "what stands out, whatever the class"
    if question.against is None:
        return f"what speaks for {target}"
    against = names.get(str(question.against), f"class {question.against}")
    return f"what speaks for {target} rather than for {against}"


def markdown(text: str) -> str:
    """Escape a text, which then is nothing but itself."""
    return re.sub(r"([\\`*_{}\[\]<>|#$~&])", r"\\\1", " ".join(text.split()))


def _trust(measured: Measured, question: Question) -> list[str]:
    layer = judged(question).layers[0]
    return [
        "## Is the explanation to be trusted?",
        f"Measured on maps of the predicted class by {question.method} at {markdown(layer)}, of "
        "validation pictures.",
        _listed(markdown(line) for line in verdicts(measured)),
        "![Deletion, insertion and randomisation](curves.png)",
    ]


def _evidence(measured: Measured, examples: Sequence[Example]) -> list[str]:
    evidence = measured.evidence
    parts = [
        "## Does it look at the fish?",
        _listed(markdown(line) for line in evidence.findings),
    ]
    if examples:
        parts += [
            "![ImageSet that are named by number](examples.png)",
            _table(
                ("number", "stands for", "picture", "true", "predicted", "on the fish"),
                [
                    (
                        str(one.number),
                        one.finding,
                        short_path(one.row),
                        one.row.true or "",
                        f"{one.row.top[0][0]} {one.row.top[0][1]:.0%}",
                        shares(one.row.energy),
                    )
                    for one in examples
                ],
            ),
            "All pictures by their number are in trust.json.",
        ]
    places: dict[str, Place] = {"border": evidence.border, "bars": evidence.bars}
    if evidence.fish is not None:
        places = {"fish": evidence.fish} | places
    rows = [
        (
            name,
            str(int(evidence.border.images[label])),
            *(_share_and_area(place, label) for place in places.values()),
        )
        for label, name in enumerate(evidence.classes)
    ]
    heads = [f"evidence on the {place} (its area)" for place in places]
    return [*parts, "### By class", _table(("class", "pictures", *heads), rows)]


def _share_and_area(place: Place, label: int) -> str:
    energy, area = float(place.energy[label]), float(place.area[label])
    if math.isnan(energy):
        return "-"
    return f"{energy:.0%} ({area:.0%})" + (" !" if place.more_than_area[label] else "")


def _pictures(summary: Summary) -> list[str]:
    parts = [
        "## ImageSet",
        f"{summary.total} pictures: {markdown(summary.pictures)}. A PNG of each is in pictures/, a "
        f"row in explanations.csv; the first {summary.on_sheet} are on the sheet.",
    ]
    if summary.unreadable:
        parts.append(f"{summary.unreadable} of them cannot be read.")
    if summary.on_sheet:
        parts.append("![Contact sheet](contact_sheet.png)")
    rows = [
        (short_path(row), row.true or "", predicted(row), row.map_of, shares(row.energy))
        for row in summary.rows
    ]
    parts.append(_table(("picture", "true", "predicted", "map of", "on the fish"), rows))
    if summary.total > len(summary.rows):
        parts.append(f"And {summary.total - len(summary.rows)} more.")
    return parts


def short_path(row: Row) -> str:
    """The end of its path, by which a person knows it; the whole one is in explanations.csv."""
    return "/".join(Path(row.path).parts[-2:])


def predicted(row: Row) -> str:
    """The prediction with its probability, or why there is none."""
    if not row.top:
        return f"cannot be read: {row.error}"
    return f"{row.top[0][0]} {row.top[0][1]:.0%}"


def shares(energy: Iterable[float | None]) -> str:
    """The energy on the fish at each layer; a dash where it is not known."""
    return " ".join("-" if share is None else f"{share:.0%}" for share in energy)


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([markdown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
