"""Classes that a person has corrected: a table that is believed more than the folders."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.image_index import ImageIndex
from fishcnn.data.layout.names import alike
from fishcnn.utils.errors import ArgumentError
from fishcnn.utils.files import write_text
from fishcnn.utils.machine import user_path
from fishcnn.utils.text import counted, from_cell, normalised, printable, to_cell

PATH, CLASS = "path", "class"
DROP = "drop"  # in place of a class: the image is left out
_DELIMITERS = ",;\t"
# A folder of a million images has a table of some 100 MB.
_MOST_BYTES = 2**30
_DROPPED = -1


class _Row(NamedTuple):
    """What a table says of an image, and where."""

    line: int
    path: str
    name: str  # of the class, or DROP


@dataclass(frozen=True)
class CorrectedLabels:
    """What a table changes in a folder of images.

    Attributes:
        changes: the class of each image that has another one than its folder says, or DROP, by its
            path below the root.
    """

    changes: Mapping[Path, str]

    @classmethod
    def read(cls, file: str | Path, index: ImageIndex) -> "CorrectedLabels":
        """Read a table of the columns ``path`` and ``class``; others are passed over.

        It is CSV in UTF-8, as spreadsheets save it: with commas, semicolons or tabs.

        Args:
            file: the table.
            index: of the images.

        Raises:
            ArgumentError: it cannot be read, has a row that fits no image or no class, or leaves a
                class without the images that it needs.
        """
        changes: dict[Path, str] = {}
        names = [printable(path.as_posix()) for path in index.paths]
        # As it is written before what looks like it: both may be there.
        known = {normalised(name): image for image, name in enumerate(names)}
        known |= {name: image for image, name in enumerate(names)}
        classes = {printable(name): label for label, name in enumerate(index.classes)}
        labels = index.labels.copy()
        seen: dict[int, int] = {}
        for row in _rows(file):
            image = _image(file, row, known, index)
            if image in seen:
                problem = f"line {row.line} has {row.path} once more, after line {seen[image]}; "
                raise ArgumentError("labels", file, f"{problem}keep one of the two")
            seen[image] = row.line
            label = _label(file, row, classes)
            if label != index.labels[image]:
                labels[image] = label
                changes[index.paths[image]] = DROP if label == _DROPPED else index.classes[label]
        _check_classes(file, index, labels)
        return cls(changes)

    def apply(self, images: ImageSet) -> ImageSet:
        """Give decoded images their classes, and leave out those that are dropped."""
        if not self.changes:
            return images
        label_of = {name: label for label, name in enumerate(images.classes)}
        labels = images.index.labels.copy()
        kept = np.ones(len(labels), np.bool_)
        for file, path in enumerate(images.index.paths):
            name = self.changes.get(path)
            if name == DROP:
                kept[file] = False
            elif name is not None:
                labels[file] = label_of[name]
        return images.corrected(labels, kept)

    def save(self, file: Path) -> None:
        """Write what is changed, and nothing else, as a table that can be read again."""
        write_text(file, self.table())

    def table(self) -> str:
        """What is changed, as CSV, the same whatever the order was."""
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow([PATH, CLASS])
        for path, name in sorted(self.changes.items()):
            writer.writerow([to_cell(printable(path.as_posix())), to_cell(printable(name))])
        return lines.getvalue()


def _rows(file: str | Path) -> Iterator[_Row]:
    """Read the rows of a table, by the line that each ends on."""
    text = _text(file)
    lines = text.splitlines(keepends=True)
    # Excel is told its delimiter by such a line.
    skipped = int(bool(lines) and lines[0].strip().lower().startswith("sep="))
    head = lines[skipped] if len(lines) > skipped else ""
    delimiter = max(_DELIMITERS, key=head.count)
    reader = csv.reader(io.StringIO("".join(lines[skipped:]), newline=""), delimiter=delimiter)
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        for name in (PATH, CLASS):
            if columns.count(name) != 1:
                has = ", ".join(filter(None, columns)) or "no names"
                problem = f"needs one column {name} in its first line, which has {has}"
                raise ArgumentError("labels", file, f"{problem}; write {PATH},{CLASS} there")
        path, name_ = columns.index(PATH), columns.index(CLASS)
        for cells in reader:
            line = reader.line_num + skipped
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) <= max(path, name_):
                problem = f"line {line} has {counted(len(cells), 'cell')}, too few for {PATH} and "
                problem += f"{CLASS}; complete it, or delete it"
                raise ArgumentError("labels", file, problem)
            yield _Row(line, from_cell(cells[path]), from_cell(cells[name_].strip()))
    except csv.Error as error:
        problem = f"line {reader.line_num + skipped} is not CSV ({error}); save the table again"
        raise ArgumentError("labels", file, problem) from error


def _text(file: str | Path) -> str:
    path = user_path(file)
    again = "name a table with the columns path and class, such as labels.csv of an inspection"
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "there is no such file"
        raise ArgumentError("labels", file, f"{what}; {again}")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ArgumentError("labels", file, f"is larger than any table of labels; {again}")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = "is not a table in UTF-8; in a spreadsheet, save it as CSV UTF-8"
        raise ArgumentError("labels", file, problem) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ArgumentError("labels", file, f"cannot be read ({reason})") from error


def _image(file: str | Path, row: _Row, known: Mapping[str, int], index: ImageIndex) -> int:
    """The image that a row means."""
    path = row.path.strip()
    # It may come with the slashes of Windows; and blanks may belong to it.
    for way in (row.path, path, path.replace("\\", "/").removeprefix("./")):
        for name in (way, normalised(way)):
            if (image := known.get(name)) is not None:
                return image
    if not path:
        problem = f"line {row.line} names no image; write its path, or delete the line"
        raise ArgumentError("labels", file, problem)
    name = normalised(path).replace("\\", "/").rpartition("/")[2]
    same = [one for one in known if one.rpartition("/")[2] == name][:3]
    near = same or get_close_matches(normalised(path), known, 1, 0.8)
    meant = f"did you mean {' or '.join(near)}? If not, delete the line" if near else ""
    problem = (
        f"line {row.line} has {path}, and there is no such image in {index.root}, from where "
        f"paths begin; {meant or 'correct the path, or delete the line'}"
    )
    raise ArgumentError("labels", file, problem)


def _label(file: str | Path, row: _Row, classes: Mapping[str, int]) -> int:
    """The class that a row gives its image, or _DROPPED."""
    drops = alike(row.name) == DROP
    if row.name in classes and not drops:
        return classes[row.name]
    found = [label for name, label in classes.items() if _looks(name) == _looks(row.name)]
    if drops and found:
        problem = (
            f"line {row.line} says {row.name} of {row.path}, which leaves an image out, but there "
            "is a class of that name; call its folder something else"
        )
        raise ArgumentError("labels", file, problem)
    if drops:
        return _DROPPED
    if len(found) == 1:
        return found[0]
    there = ", ".join(classes) if len(classes) <= 30 else ", ".join([*classes][:30]) + ", ..."
    if near := get_close_matches(row.name, classes, 1):
        there = f"{near[0]} (nearest of {len(classes)})" if len(classes) > 30 else there
    choices = f"choose one of {there}, or {DROP} to leave the image out"
    problem = f"line {row.line} has no class for {row.path}; {choices}"
    if row.name:
        problem = (
            f"line {row.line} has the class {row.name} for {row.path}, and there is no such class; "
            f"{choices}. For a new class, make a folder of that name and move its images there"
        )
    raise ArgumentError("labels", file, problem)


def _looks(name: str) -> str:
    """What names have in common that a person, or a spreadsheet, does not tell apart."""
    return alike(name).lstrip("0") if name.isdecimal() else alike(name)


def _check_classes(file: str | Path, index: ImageIndex, labels: NDArray[np.int64]) -> None:
    """Refuse what takes from a class the images that it cannot do without."""
    training = np.ones(len(labels), np.bool_)
    needed, words = 2, "at least 2: one for training, one for validation"
    if index.splits is not None:
        training = np.array(index.splits, "U5") == "train"
        needed, words = 1, "at least 1 for training"
    count = len(index.classes)
    before = np.bincount(index.labels[training], minlength=count)
    after = np.bincount(labels[training & (labels != _DROPPED)], minlength=count)
    for label in np.flatnonzero((after < needed) & (after < before)).tolist():
        name = printable(index.classes[label])
        left = counted(int(after[label]), "training image" if index.splits else "image")
        problem = (
            f"leaves {left} of the class {name}, which needs {words}. Keep some, or move its "
            f"folder out of {index.root} to train without the class"
        )
        raise ArgumentError("labels", file, problem)
