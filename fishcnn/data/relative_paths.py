"""The paths of a million images, in the memory that their letters take."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload


class RelativePaths(Sequence[Path]):
    """N paths below one folder, each of which becomes a Path only when it is asked for.

    A Path takes some 600 bytes, its text 90.

    Attributes:
        posix: their texts, with slashes on every system.
    """

    __slots__ = ("posix",)

    def __init__(self, posix: Iterable[str] = ()) -> None:
        self.posix = tuple(posix)

    @classmethod
    def of(cls, paths: Iterable[Path]) -> "RelativePaths":
        """Take paths as they are."""
        return cls(path.as_posix() for path in paths)

    def only(self, rows: Iterable[int]) -> "RelativePaths":
        """Some of them, by their positions, in that order."""
        return RelativePaths(self.posix[row] for row in rows)

    def __len__(self) -> int:
        return len(self.posix)

    @overload
    def __getitem__(self, row: int) -> Path: ...
    @overload
    def __getitem__(self, row: slice) -> "RelativePaths": ...
    def __getitem__(self, row: "int | slice") -> "Path | RelativePaths":
        """One of them, or some."""
        if isinstance(row, slice):
            return RelativePaths(self.posix[row])
        return Path(self.posix[row])

    def __iter__(self) -> Iterator[Path]:
        return map(Path, self.posix)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, RelativePaths):
            return self.posix == other.posix
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(self.posix)

    def __repr__(self) -> str:
        return f"RelativePaths({self.posix!r})"
