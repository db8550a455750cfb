"""Configurations compared two by two, on the images that both were validated on."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fishcnn.commands.compare.configurations import Configuration, by_seed
from fishcnn.commands.validation_table import ValidationTable
from fishcnn.data.duplicates.components import chained, connected
from fishcnn.metrics.paired_comparison import (
    PairedComparison,
    compare_paired,
    holm,
    images_needed,
)
from fishcnn.utils.text import points

ALPHA = 0.05  # how often at most any comparison of a leaderboard may be wrong
_MANY = 1_000_000  # images that nobody will have

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Two configurations by their places on the board, the better one first.

    Attributes:
        first, second: places, from 0.
        found: the comparison; ``difference`` is 0 or more, but for configurations whose images
            differ.
        adjusted: p value, corrected for the number of comparisons (Holm).
        needed: images that would show the difference; None where more images would not help.
    """

    first: int
    second: int
    found: PairedComparison
    adjusted: float
    needed: int | None

    @property
    def is_sure(self) -> bool:
        """Whether one of them is better, beyond the noise."""
        return self.adjusted <= ALPHA

    def verdict(self) -> str:
        """What can be said of the second configuration, beside the first one."""
        if self.is_sure:
            word = "worse" if self.found.difference > 0 else "better"
            return f"{word} by {points(abs(self.found.difference))} ({shown_p(self.adjusted)})"
        return f"not distinguishable on {self.found.images} images{self._what_would_help()}"

    def _what_would_help(self) -> str:
        if self.found.difference == 0:
            return ", equally good on these"
        if self.needed is None:
            return "; more seeds needed"
        if self.needed > _MANY:
            return "; more than a million needed"
        return f"; about {rounded(self.needed):,} needed"


class Pairs(NamedTuple):
    """All comparisons of a board.

    Attributes:
        pairs: by the places of both; those that could not be compared are missing.
        without: configurations, by place, with a run that has not written what it says of each
            image.
    """

    pairs: dict[tuple[int, int], Pair]
    without: list[int]


def shown_p(p_value: float) -> str:
    """A p value in two digits."""
    return "p < 0.0001" if p_value < 1e-4 else f"p = {p_value:.2g}"


def rounded(images: int) -> int:
    """A number in two digits, rounded up: it is an estimate."""
    step: int = 10 ** max(len(str(images)) - 2, 0)
    return -(-images // step) * step


def compare_pairs(ranked: Sequence[Configuration]) -> Pairs:
    """Compare all configurations with each other.

    The family of :func:`~fishcnn.metrics.paired_comparison.holm` is all of these comparisons, as
    which one is the best is not known beforehand.
    """
    tables = [_tables(one) for one in ranked]
    answers = _answers([(ranked[i], one) for i, one in enumerate(tables) if one is not None])
    places = [place for place, one in enumerate(tables) if one is not None]
    compared = []
    for (i, first), (j, second) in combinations(zip(places, answers.right, strict=True), 2):
        both = ~np.isnan(first).any(0) & ~np.isnan(second).any(0)
        if both.any():
            found = compare_paired(first[:, both], second[:, both], answers.groups[both])
            compared.append((i, j, found))
    adjusted = holm([found.p_value for _, _, found in compared])
    level = ALPHA / max(len(compared), 1)
    pairs = {
        (i, j): Pair(i, j, found, p_value, images_needed(found, level))
        for (i, j, found), p_value in zip(compared, adjusted, strict=True)
    }
    return Pairs(pairs, [place for place, one in enumerate(tables) if one is None])


def _tables(configuration: Configuration) -> list[ValidationTable] | None:
    """What each run says of each image; None where one of them has not written it down."""
    found = [run.answers for run in configuration.runs if run.answers is not None]
    return found if len(found) == len(configuration.runs) else None


class _Answers(NamedTuple):
    """Of all n images that any of C configurations was validated on.

    Attributes:
        right: C times ``(S, n)``, by seed: the share of right answers; NaN where not asked.
        groups: ``(n,)``, the same number for images that belong together.
    """

    right: list[Floats]
    groups: NDArray[np.int64]


def _answers(configurations: Sequence[tuple[Configuration, list[ValidationTable]]]) -> _Answers:
    tables = [table for _, of_one in configurations for table in of_one]
    place = {
        name: row for row, name in enumerate(dict.fromkeys(i for t in tables for i in t.images))
    }
    rows = {
        id(table): np.array([place[name] for name in table.images], np.int64) for table in tables
    }
    links = [rows[id(table)][chained(table.groups)] for table in tables]
    # Runs of the same images and settings number their groups alike.
    edges = np.unique(np.concatenate([np.zeros((0, 2), np.int64), *links]), axis=0)
    right = []
    for configuration, of_one in configurations:
        table_of = {
            run.run.path: table for run, table in zip(configuration.runs, of_one, strict=True)
        }
        seeds = by_seed(configuration.runs)
        hits, asked = np.zeros((len(seeds), len(place))), np.zeros((len(seeds), len(place)))
        for number, runs in enumerate(seeds):
            for table in (table_of[run.run.path] for run in runs):
                np.add.at(hits[number], rows[id(table)], table.right)
                np.add.at(asked[number], rows[id(table)], 1)
        unknown = np.full_like(hits, np.nan)
        right.append(np.divide(hits, asked, out=unknown, where=asked > 0))
    return _Answers(right, connected(len(place), edges))
