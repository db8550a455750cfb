"""A row for each picture, as in explanations.csv."""

from collections.abc import Sequence
from dataclasses import dataclass

TOP_K = 3
_DIGITS = 6


@dataclass(frozen=True)
class Row:
    """What is said of one picture.

    Attributes:
        path: of the file, printable.
        true: its class, or None where nobody knows it.
        top: the three most probable classes and their probabilities; empty for a picture that
            cannot be read, as everything below.
        target: the class that the maps are of.
        against: the class that they are against, or None.
        energy: for each layer, the share of the map's energy on the fish in [0, 1]; None without a
            mask, or for an empty map.
        png: file name of the drawing.
        error: why the picture cannot be read; None for one that can.
    """

    path: str
    true: str | None
    top: tuple[tuple[str, float], ...]
    target: str | None
    against: str | None
    energy: tuple[float | None, ...]
    png: str | None
    error: str | None

    @property
    def wrong(self) -> bool:
        """Whether the prediction is known to be wrong."""
        return bool(self.top) and self.true is not None and self.true != self.top[0][0]

    @property
    def map_of(self) -> str:
        """The class or classes that the maps are of, for people."""
        if self.against is None:
            return self.target or ""
        other = "itself" if self.against == self.target else self.against
        return f"{self.target} rather than {other}"


def columns(layers: Sequence[str], classes: int) -> list[str]:
    """The head of the table."""
    top = [
        f"top{k + 1}_{what}"
        for k in range(min(TOP_K, classes))
        for what in ("class", "probability")
    ]
    names = [""] if len(layers) == 1 else [f"_{layer}" for layer in layers]
    energy = [f"energy_on_fish{name}" for name in names]
    start = ["path", "true", "predicted", "probability", *top, "target", "against"]
    return [*start, *energy, "png", "error"]


def cells(row: Row, layers: int, classes: int) -> list[str]:
    """One line of the table, of an unreadable picture as well."""
    count = min(TOP_K, classes)
    if not row.top:
        empty = [""] * (2 + 2 * count + 2 + layers + 1)
        return [row.path, row.true or "", *empty, row.error or ""]
    top = [cell for name, share in row.top for cell in (name, f"{share:.{_DIGITS}f}")]
    return [
        row.path,
        row.true or "",
        *top[:2],
        *top,
        row.target or "",
        row.against or "",
        *("" if share is None else f"{share:.{_DIGITS}f}" for share in row.energy),
        row.png or "",
        "",
    ]
