"""Labels that are probably wrong: a table to correct them in, contact sheets, and words."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fishcnn.commands.figures import save_figure
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.labels import CLASS, DROP, PATH
from fishcnn.metrics.confident_learning import ODDS, LabelIssues, find_label_issues
from fishcnn.plots.label_sheet import ON_A_PAGE, DoubtfulLabel, label_sheet
from fishcnn.utils.text import counted, for_shells, percent, printable, to_cell

SHEETS = "labels_{}.png"
_COLUMNS = (PATH, CLASS, "given_class", "likely_class", "confidence", "of_given_class", "suspect")


class Doubt:
    """One image whose label is in doubt.

    Attributes:
        row: of the image.
        path: below the root.
        given, likely: classes.
        confidence: probability of the likely class, and what ``of_given`` is of the given one.
    """

    def __init__(self, images: ImageSet, issues: LabelIssues, row: int) -> None:
        self.row = row
        self.path = printable(images.paths[row].as_posix())
        self.given = printable(images.classes[images.labels[row]])
        self.likely = printable(images.classes[issues.likely[row]])
        self.confidence = float(issues.confidence[row])
        self.of_given = float(issues.given[row])


@dataclass(frozen=True)
class LabelReport:
    """What was found of the labels of some images.

    Attributes:
        images: which were looked at.
        issues: what was found.
        judge: who has predicted the classes, such as "a probe".
        accuracy: share of the judged images whose label it agrees with.
        corrected: whether some labels are a person's corrections.
    """

    images: ImageSet
    issues: LabelIssues
    judge: str
    accuracy: float
    corrected: bool

    @classmethod
    def of(
        cls,
        images: ImageSet,
        probabilities: NDArray[np.float64],
        judge: str,
        *,
        corrected: bool = False,
    ) -> "LabelReport":
        """Look for wrong labels of n images by probabilities, ``(n, K)``, out of fold."""
        issues = find_label_issues(images.labels, probabilities)
        right = issues.likely[issues.order] == images.labels[issues.order]
        accuracy = float(right.mean()) if len(right) else float("nan")
        return cls(images, issues, judge, accuracy, corrected)

    def doubts(self, most: int | None = None) -> list[Doubt]:
        """The suspects, the most probably wrong first."""
        rows = self.issues.order[self.issues.suspect[self.issues.order]][:most]
        return [Doubt(self.images, self.issues, row) for row in rows.tolist()]

    def lines(self) -> list[str]:
        """What was found, in sentences."""
        judged = len(self.issues.order)
        suspects = int(self.issues.suspect.sum())
        lines = []
        if judged:
            found = f"The answers of {self.judge} to held-out images agree with "
            found += f"{percent(self.accuracy)} of {counted(judged, 'label')}. Confident learning "
            found += f"doubts {suspects or 'none'} of the labels."
            if suspects:
                found += " Some of these are right, and the answers wrong."
            if self.issues.clear:
                found += f" Look at the first {self.issues.clear}: for so many, another class is "
                found += f"at least {ODDS} times as probable."
            if suspects:
                found += " The most doubtful come first: go on as long as you find wrong ones."
            lines.append(found)
        left = len(self.images.paths) - judged
        if left:
            lines.append(
                f"{counted(left, 'image')} could not be judged: no classifier has learnt without "
                "them."
            )
        return lines

    @staticmethod
    def to_do(table: Path) -> tuple[str, str]:
        """What a person does with the table, in words, and the setting that is typed then."""
        return (
            f"{table.name} has a row for each image. Set its column {CLASS} to the right class, or "
            f"to {DROP} to leave the image out. Then add to a training, or to another inspection:",
            for_shells([f"data.labels={table}"]),
        )

    def to_json(self) -> list[dict[str, Any]]:
        """The suspects as plain dicts."""
        return [
            {
                "path": doubt.path,
                "class": doubt.given,
                "likely_class": doubt.likely,
                "confidence": round(doubt.confidence, 6),
                "probability_of_class": round(doubt.of_given, 6),
            }
            for doubt in self.doubts()
        ]

    def table(self) -> bytes:
        """The table, in UTF-8 with the mark by which spreadsheets know it.

        The most doubtful images come first, then those that nobody judged, then the dropped ones.
        """
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(_COLUMNS)
        unjudged = np.setdiff1d(np.arange(len(self.images.paths)), self.issues.order)
        for row in (*self.issues.order.tolist(), *unjudged.tolist()):
            doubt = Doubt(self.images, self.issues, row)
            known = not np.isnan(doubt.confidence)
            writer.writerow(
                [
                    *map(to_cell, (doubt.path, doubt.given, doubt.given)),
                    to_cell(doubt.likely) if known else "",
                    f"{doubt.confidence:.6g}" if known else "",
                    f"{doubt.of_given:.6g}" if known else "",
                    "yes" if self.issues.suspect[row] else "no",
                ]
            )
        for path in self.images.dropped:
            writer.writerow([to_cell(printable(path.as_posix())), DROP, "", "", "", "", "no"])
        return lines.getvalue().encode("utf-8-sig")

    def write_sheets(self, folder: Path, name: str, most_pages: int) -> list[str]:
        """Write up to so many contact sheets, and give back the names of the files."""
        sheets = []
        doubts = self.doubts(most_pages * ON_A_PAGE)
        pages = -(-len(doubts) // ON_A_PAGE)
        for page in range(pages):
            first = page * ON_A_PAGE
            shown = doubts[first : first + ON_A_PAGE]
            rows = np.array([doubt.row for doubt in shown], np.int64)
            labels = [
                DoubtfulLabel(
                    square,
                    float(self.images.aspect[doubt.row]),
                    doubt.path,
                    doubt.given,
                    f"{doubt.likely} {percent(doubt.confidence, 0)}",
                )
                for doubt, square in zip(shown, self.images.pixels[rows], strict=True)
            ]
            title = printable(f"Labels in {name} that may be wrong")
            title += f", page {page + 1} of {pages}" if pages > 1 else ""
            sheets.append(SHEETS.format(f"{page + 1:02}"))
            save_figure(label_sheet(labels, title, first + 1), folder / sheets[-1])
        return sheets
