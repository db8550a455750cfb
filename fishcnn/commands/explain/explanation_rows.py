"""A row for each image, as in explanations.csv."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from fishcnn.cam.localisation import energy_inside
from fishcnn.commands.explain.explained_images import ImageFile
from fishcnn.commands.explain.question import Answer
from fishcnn.utils.text import percent, printable, to_cell

TOP_K = 3


@dataclass(frozen=True)
class Row:
    """What is said of one image.

    Attributes:
        true: its class, or None where nobody knows it.
        top: the three most probable classes and their probabilities; empty for an image that cannot
            be read, as everything below.
        target: the class that the maps are of.
        against: the class that they are against, or None.
        energy: for each layer, the share of the map's energy on the fish in [0, 1]; None without a
            mask, or for an empty map.
        png: its drawing.
        error: why the image cannot be read; None for one that can.
    """

    path: str
    true: str | None
    top: tuple[tuple[str, float], ...] = ()
    target: str | None = None
    against: str | None = None
    energy: tuple[float | None, ...] = ()
    png: str | None = None
    error: str | None = None

    @property
    def name(self) -> str:
        """Its path from the folder of its class on, or the folder that it lies in, for people."""
        parts = [printable(part) for part in Path(self.path).parts]
        folders = [i for i, part in enumerate(parts[:-1]) if part == self.true]
        return "/".join(parts[folders[-1] if folders else -2 :])

    @property
    def wrong(self) -> bool:
        """Whether the prediction is known to be wrong."""
        return bool(self.top) and self.true is not None and self.true != self.top[0][0]

    @property
    def predicted(self) -> str:
        """The prediction with its probability for people, or why there is none."""
        if not self.top:
            return f"cannot be read: {self.error}"
        return f"{self.top[0][0]} {percent(self.top[0][1], 0)}"

    @property
    def map_of(self) -> str:
        """The class or classes that the maps are of, for people."""
        if self.against is None:
            return self.target or ""
        other = "itself" if self.against == self.target else self.against
        return f"{self.target} rather than {other}"

    @property
    def on_fish(self) -> str:
        """The energy on the fish at each layer, for people; a dash where it is not known."""
        return " ".join("-" if share is None else percent(share, 0) for share in self.energy)


def make_row(
    classes: Sequence[str],
    file: ImageFile,
    found: Answer,
    position: int,
    mask: Tensor | None,
    png: str | None = None,
) -> Row:
    """Say what the network makes of the image at a position of a batch.

    Its mask is float ``(S, S)``; ``png`` is the name of its drawing.
    """
    maps = found.maps[position]
    shares, order = found.probabilities[position].topk(min(TOP_K, len(classes)))
    energy: list[float | None] = [None] * len(maps)
    if mask is not None:
        inside = energy_inside(maps, mask.expand_as(maps)).tolist()
        energy = [None if share != share else share for share in inside]  # NaN: an empty map
    return Row(
        path=file.path,
        true=None if file.label is None else classes[file.label],
        top=tuple(zip((classes[k] for k in order.tolist()), shares.tolist(), strict=True)),
        target=classes[int(found.targets[position])],
        against=None if found.against is None else classes[int(found.against[position])],
        energy=tuple(energy),
        png=png,
    )


def columns(layers: Sequence[str], classes: int) -> list[str]:
    """The head of the table."""
    top = [
        f"top{k + 1}_{of}" for k in range(min(TOP_K, classes)) for of in ("class", "probability")
    ]
    start = ["path", "true", "predicted", "probability", *top, "target", "against"]
    return [*start, *_energy_columns(layers), "png", "error"]


def cells(row: Row, layers: Sequence[str]) -> dict[str, str]:
    """One line of the table by its columns; those that are not in it are empty."""
    text = {"path": printable(row.path), "true": row.true, "target": row.target}
    text |= {"against": row.against, "png": row.png, "error": row.error}
    numbers = dict(zip(_energy_columns(layers), row.energy, strict=False))
    for k, (name, share) in enumerate(row.top, start=1):
        text[f"top{k}_class"], numbers[f"top{k}_probability"] = name, share
    if row.top:
        text["predicted"], numbers["probability"] = row.top[0]
    written = {name: f"{share:.6f}" for name, share in numbers.items() if share is not None}
    return written | {name: to_cell(value) for name, value in text.items() if value is not None}


def _energy_columns(layers: Sequence[str]) -> list[str]:
    return [f"energy_on_fish{'' if len(layers) == 1 else f'_{layer}'}" for layer in layers]
