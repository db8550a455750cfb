"""Runs gathered: those of the same images, and among these those of the same settings."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from fishcnn.commands.compare.found_runs import FoundRun
from fishcnn.commands.compare.varied import (
    FOLD,
    REPEATS,
    SPLIT_SEED,
    configuration_key,
    has,
    short_names,
    shown_value,
)
from fishcnn.metrics.intervals import seeds_interval
from fishcnn.utils.text import printable

# Of the smaller of two folders of images, by which they are the same data; and of all images that
# either of two configurations was validated on, beyond which they can be ranked together.
_SHARED = 0.5
_COPIES_TOGETHER, _INNER_SPLIT = "data.group_duplicates", "data.inner_split"

Parts = frozenset[frozenset[str]]


@dataclass(frozen=True)
class Configuration:
    """Runs that differ only in the seed, the fold or the split.

    Attributes:
        runs: those that have finished.
        unfinished: the others.
        accuracy: validation accuracy: over all images that were held out in any fold, and of that
            the mean over seeds; None where nothing has finished.
        interval: 95% interval of that, in which each image counts once.
    """

    runs: list[FoundRun]
    unfinished: list[FoundRun] = field(default_factory=list)
    accuracy: float | None = None
    interval: tuple[float, float] | None = None

    @classmethod
    def of(cls, runs: Sequence[FoundRun]) -> "Configuration":
        """Gather runs of the same settings."""
        done = [run for run in runs if run.ranks]
        unfinished = [run for run in runs if not run.ranks]
        if not done:
            return cls([], unfinished)
        shares = [_pooled(of_seed) for of_seed in by_seed(done)]
        interval = seeds_interval(shares, min(map(_images, by_seed(done))))
        return cls(done, unfinished, statistics.fmean(shares), interval)

    @property
    def any_run(self) -> FoundRun:
        """A run, for the settings that they share."""
        return (self.runs or self.unfinished)[0]

    @property
    def best_run(self) -> FoundRun:
        """Of those that have finished the one of the highest accuracy."""
        return max(self.runs, key=_rank)

    @cached_property
    def parts(self) -> Parts:
        """The images that each run was validated on; none where that is not known."""
        return frozenset(run.validated for run in self.runs if run.validated)

    @cached_property
    def of_data(self) -> frozenset[tuple[str, str]]:
        """The settings of the data in any of its runs."""
        every = (item for run in (*self.runs, *self.unfinished) for item in run.settings.items())
        return frozenset((name, str(value)) for name, value in every if name.startswith("data."))

    @property
    def images(self) -> int:
        """How many a seed was validated on, over all folds."""
        return max(map(_images, by_seed(self.runs)), default=0)

    def mean(self, name: str) -> float | None:
        """The mean of a number over its runs; None if one has none."""
        values = [run.energy if name == "energy" else run.number(name) for run in self.runs]
        known = [value for value in values if value is not None]
        return statistics.fmean(known) if known and len(known) == len(values) else None

    def label(self, names: Sequence[str]) -> str:
        """What was varied, in the fewest words."""
        short = zip(short_names(names), names, strict=True)
        run = self.any_run
        parts = [f"{word}={shown_value(run, name)}" for word, name in short if has(run, name)]
        return printable(" ".join(parts)) or self.any_run.name


@dataclass(frozen=True)
class Board:
    """Runs that were validated on the same images, or on mostly the same.

    Attributes:
        data: what the images are called.
        runs: all of them.
        ranked: configurations with a result, the best first.
        waiting: configurations without one.
    """

    data: str
    runs: list[FoundRun]
    ranked: list[Configuration]
    waiting: list[Configuration]

    @property
    def images(self) -> str:
        """How many each configuration was validated on."""
        counts = sorted({one.images for one in self.ranked}) or [0]
        return f"{counts[0]} to {counts[-1]}" if counts[0] < counts[-1] else str(counts[0])

    @cached_property
    def chance(self) -> float | None:
        """What always naming the commonest class is right for; None where that is not known."""
        known = [run.answers for one in self.ranked for run in one.runs if run.answers is not None]
        label_of = {i: label for a in known for i, label in zip(a.images, a.labels, strict=True)}
        counts = Counter(label_of.values()).values()
        return max(counts) / sum(counts) if counts else None

    def is_above_chance(self, one: Configuration) -> bool | None:
        """Whether the interval of one lies above ``chance``; None if that is not known."""
        return one.interval[0] > self.chance if one.interval and self.chance is not None else None


def by_seed(runs: Sequence[FoundRun]) -> list[list[FoundRun]]:
    """Runs by their seed; those of one differ in the images that they hold out."""
    gathered: dict[str, list[FoundRun]] = {}
    for run in runs:
        gathered.setdefault(str(run.settings.get("seed")), []).append(run)
    return list(gathered.values())


def once_each(runs: Sequence[FoundRun]) -> list[FoundRun]:
    """Runs of the same settings without those that only repeat another: seed, fold and split too.

    Whoever types a command twice has measured nothing twice.
    """
    found: dict[tuple[str, ...], FoundRun] = {}
    for run in runs:
        found.setdefault(tuple(str(run.settings.get(name)) for name in REPEATS), run)
    return list(found.values())


def _pooled(of_seed: Sequence[FoundRun]) -> float:
    """The share of right answers in all folds."""
    runs = once_each(of_seed)
    hits = sum((run.number("val_acc") or 0) * run.images for run in runs)
    return hits / sum(run.images for run in runs)


def _images(of_seed: Sequence[FoundRun]) -> int:
    """How many images were held out in any fold; those of other splits are partly the same."""
    sizes: dict[str, int] = {}
    for run in once_each(of_seed):
        split = str(run.settings.get(SPLIT_SEED))
        sizes[split] = sizes.get(split, 0) + run.images
    return max(sizes.values())


def gather(runs: Sequence[FoundRun]) -> list[Board]:
    """Gather runs by their data, these by their settings, and these by their images."""
    boards = [one for some in _by_data(runs) for one in _boards(some)]
    titles = [one.data for one in boards]
    return [
        replace(one, data=_told_apart(one, boards)) if titles.count(one.data) > 1 else one
        for one in boards
    ]


def _rank(run: FoundRun) -> tuple[float, float]:
    loss = run.number("val_loss")
    return run.number("val_acc") or 0, -loss if loss is not None else -np.inf


def _place(one: Configuration) -> tuple[float, float]:
    loss = one.mean("val_loss")
    return -(one.accuracy or 0), np.inf if loss is None else loss


def _boards(runs: list[FoundRun]) -> list[Board]:
    """Boards of the same data, each of its own validation images."""
    found = _configurations(runs)
    number_of = _numbered({one.parts for one in found if one.parts})
    known = sorted((one for one in found if one.parts), key=lambda one: number_of[one.parts])
    boards: dict[int, list[Configuration]] = {}
    for one in found:
        # Of which nobody knows the images they are shown where the settings are most alike.
        place = number_of.get((one if one.parts else _likest(one, known)).parts, 0)
        boards.setdefault(place, []).append(one)
    return [_board(some, runs) for some in boards.values()]


def _numbered(found: Iterable[Parts]) -> dict[Parts, int]:
    """Number the boards of configurations by what these were validated on.

    A board is that of its largest configuration. Another one belongs there if its images are mostly
    the same, or if most of its parts were held out there as well, as it is where some folds are
    missing. In whatever order they are found, the boards are the same.
    """
    number_of: dict[Parts, int] = {}
    boards: list[tuple[frozenset[str], set[frozenset[str]]]] = []
    for parts in sorted(found, key=_largest_first):
        images = _all_images(parts)
        fitting = (
            number
            for number, (largest, held_out) in enumerate(boards)
            if _same_images(images, largest) or 2 * len(parts & held_out) > len(parts)
        )
        number_of[parts] = number = next(fitting, len(boards))
        if number == len(boards):
            boards.append((images, set()))
        boards[number][1].update(parts)
    return number_of


def _largest_first(parts: Parts) -> tuple[int, list[list[str]]]:
    return -len(_all_images(parts)), sorted(map(sorted, parts))


def _all_images(parts: Parts) -> frozenset[str]:
    return frozenset().union(*parts)


def _configurations(runs: Sequence[FoundRun]) -> list[Configuration]:
    """Runs of the same settings; where images were added between two of the same fold, apart."""
    gathered: dict[object, list[list[FoundRun]]] = {}
    for run in runs:
        # Of a run whose settings are not known nobody can say that they are those of another.
        key = configuration_key(run) if run.settings else run.run.path
        editions = gathered.setdefault(key, [])
        edition = next((some for some in editions if _belongs(run, some)), None)
        if edition is None:
            editions.append([run])
        else:
            edition.append(run)
    return [Configuration.of(one) for editions in gathered.values() for one in editions]


def _belongs(run: FoundRun, edition: Sequence[FoundRun]) -> bool:
    """Whether a run was validated on what its fold holds out there, and no other fold does."""
    held_out = {
        one.settings.get(FOLD): one.validated
        for one in edition
        if one.settings.get(SPLIT_SEED) == run.settings.get(SPLIT_SEED) and one.validated
    }
    own = held_out.pop(run.settings.get(FOLD), run.validated)
    if run.validated and not _same_images(run.validated, own):
        return False
    # Else a file and its copy may be in two folds, or what is drawn from the rest of two folds.
    parted = run.settings.get(_COPIES_TOGETHER) and not run.settings.get(_INNER_SPLIT)
    return not parted or all(map(run.validated.isdisjoint, held_out.values()))


def _same_images(a: frozenset[str], b: frozenset[str]) -> bool:
    return a == b or len(a & b) > _SHARED * len(a | b)


def _likest(one: Configuration, known: Sequence[Configuration]) -> Configuration:
    """That which has most settings of the data in common with one; that itself where none is."""
    return max(known, key=lambda other: len(one.of_data & other.of_data), default=one)


def _board(found: Sequence[Configuration], of_data: Sequence[FoundRun]) -> Board:
    own = {run.run.path for one in found for run in (*one.runs, *one.unfinished)}
    runs = [run for run in of_data if run.run.path in own]
    ranked = sorted((one for one in found if one.runs), key=_place)
    return Board(_title(runs), runs, ranked, [one for one in found if not one.runs])


def _title(runs: Sequence[FoundRun]) -> str:
    settings = next((run.settings for run in runs if run.settings), {})
    root = settings.get("data.root")
    return printable(Path(str(root)).name if root else str(settings.get("data.name", "unknown")))


def _told_apart(board: Board, boards: Sequence[Board]) -> str:
    """A board by what says which images it is of, as far as others of its name differ in that."""
    own, said = _facts(board), []
    alike = [_facts(one) for one in boards if one.data == board.data]
    for name, value in own.items():
        if any(facts.get(name) != value for facts in alike):
            said.append(f"{name}={value}")
            alike = [facts for facts in alike if facts.get(name) == value]
    return printable(f"{board.data} ({', '.join(said)})")


def _facts(board: Board) -> dict[str, str]:
    known = next((run for run in board.runs if run.settings), board.runs[0])
    parts = {name: str(known.settings.get(name)) for name in (FOLD, SPLIT_SEED)}
    return {**dict(known.data), "images": board.images, **parts, "run": known.name}


def _by_data(runs: Sequence[FoundRun]) -> list[list[FoundRun]]:
    """Runs of the same folder, or of images most of which are the same files, wherever they lie."""
    gathered: dict[object, list[FoundRun]] = {}
    # Of which nobody knows anything they are shown with the others.
    first = next((run for run in runs if run.settings), runs[0])
    for run in runs:
        gathered.setdefault((run if run.settings else first).data, []).append(run)
    found: list[list[FoundRun]] = []
    for some in gathered.values():
        same = next((others for others in found if _same_files(others, some)), None)
        if same is None:
            found.append([*some])
        else:
            same.extend(some)
    order = {run.run.path: place for place, run in enumerate(runs)}
    return [sorted(some, key=lambda run: order[run.run.path]) for some in found]


def _same_files(some: Sequence[FoundRun], others: Sequence[FoundRun]) -> bool:
    if not some[0].settings or not others[0].settings:
        return False
    known = [next(filter(None, (run.digests() for run in runs)), set()) for runs in (some, others)]
    least = min(map(len, known))
    return least > 0 and len(known[0] & known[1]) >= _SHARED * least
