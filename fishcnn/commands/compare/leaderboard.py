"""The leaderboard of runs: ranks, verdicts, and what each setting did. Nothing is written here."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fishcnn.commands.command_line import another
from fishcnn.commands.compare.configurations import Board, Configuration, by_seed, gather
from fishcnn.commands.compare.found_runs import FoundRun
from fishcnn.commands.compare.knobs import Knobs, turn_knobs
from fishcnn.commands.compare.pairs import ALPHA, Pair, Pairs, compare_pairs
from fishcnn.commands.compare.varied import (
    EXPERIMENT,
    NO_EXPERIMENT,
    REPEATS,
    shown_value,
    value_of,
    varied_settings,
)
from fishcnn.utils.machine import user_path
from fishcnn.utils.text import counted, percent, printable

MOST_SHOWN = 4  # settings of a row; the files for machines have all

RANKED_BY = (
    "Ranked by the validation accuracy of the checkpoint that is kept, that of the lowest "
    "validation loss. Checkpoint and rank were chosen on these images, which flatters the first: "
    "judge it on images that have chosen nothing."
)
_IMAGES_AND_SEEDS = "other images and other seeds"
_OLDER = (
    "of an earlier version or damaged: a run that has not written what it says of each image is "
    "not compared with others, it only has its interval"
)


@dataclass(frozen=True)
class Ranking:
    """A board with all that can be said of it.

    Attributes:
        board: runs of the same images.
        names: of the settings that were varied.
        pairs: the configurations, two by two.
        knobs: what each setting did.
    """

    board: Board
    names: list[str]
    pairs: Pairs
    knobs: Knobs

    @cached_property
    def shown(self) -> list[str]:
        """Those settings by which rows are named.

        Of many those that tell the rows apart, and then those that have mattered most.
        """
        rows = [one.any_run for one in (*self.board.ranked, *self.board.waiting)]
        # Those that have mattered most come first.
        left = list(dict.fromkeys([*(knob.setting for knob in self.knobs.knobs), *self.names]))
        texts = {name: [shown_value(run, name) for run in rows] for name in left}
        labels, chosen = [""] * len(rows), set[str]()
        while left and len(chosen) < MOST_SHOWN < len(self.names):
            more = {n: [f"{a} {b}" for a, b in zip(labels, texts[n], strict=True)] for n in left}
            name = max(left, key=lambda one: len(set(more[one])))
            labels = more[name]
            chosen.add(name)
            left.remove(name)
        return [name for name in self.names if name in chosen or len(self.names) <= MOST_SHOWN]

    @cached_property
    def have_seeds(self) -> list[bool]:
        """Whether each ranked configuration was trained with several seeds."""
        return [len(by_seed(one.runs)) > 1 for one in self.board.ranked]

    @property
    def interval_is_of(self) -> str:
        """What the 95% interval of an accuracy speaks of."""
        if all(self.have_seeds):
            return _IMAGES_AND_SEEDS
        several = " (and, where a row has several seeds, other seeds)"
        return "other images" + several * any(self.have_seeds)

    @property
    def has_repeats(self) -> bool:
        """Whether a configuration has several runs."""
        both = (*self.board.ranked, *self.board.waiting)
        return any(len(one.runs) + len(one.unfinished) > 1 for one in both)

    @property
    def repeats(self) -> list[str]:
        """Those of seed, fold and split that vary."""
        return [
            name
            for name in REPEATS
            if len({str(value_of(run, name)) for run in self.board.runs if run.settings}) > 1
        ]

    def pair(self, place: int) -> Pair | None:
        """The comparison of a configuration with the best one."""
        return self.pairs.pairs.get((0, place))

    def verdict(self, place: int) -> str:
        """What can be said of a configuration beside the best one, in a few words."""
        if place == 0:
            return "the best here"
        if pair := self.pair(place):
            return pair.verdict()
        return "not compared" if place in self.pairs.without else "no image in common"

    def remark(self, place: int) -> str:
        """What stands in a row: the verdict, if there is any choice, and what it is not above."""
        words = [self.verdict(place)] if len(self.board.ranked) > 1 else []
        if self.board.is_above_chance(self.board.ranked[place]) is False:
            words.append("not above always naming the commonest class")
        return "; ".join(words)

    def label(self, configuration: Configuration) -> str:
        """What was varied, in the fewest words: an experiment only where there is one."""
        label, none = configuration.label(self.shown), f"{EXPERIMENT}={NO_EXPERIMENT}"
        return "no experiment" if label == none else label.removeprefix(f"{none} ")

    def sentences(self) -> list[str]:
        """Who is better, in words."""
        ranked = self.board.ranked
        if not ranked:
            return ["No run has finished yet."]
        best = ranked[0]
        said = [f"Best: {self.label(best)}, {percent(best.accuracy)}."] if len(ranked) > 1 else []
        of_best = [pair for (first, _), pair in self.pairs.pairs.items() if first == 0]
        if of_best:
            unsure = [pair for pair in of_best if not pair.is_sure]
            worse = sum(pair.is_sure and pair.found.difference > 0 for pair in of_best)
            words = f"It is better than {worse} of {counted(len(of_best), 'other')}"
            if unsure:
                words += f", and not distinguishable from {len(unsure)} on {_images(unsure)}"
            said += [f"{words}.", self._how(len(self.pairs.pairs))]
        say = "interval says" if len(ranked) == 1 else "intervals say"
        said.append(f"The 95% {say} what {self.interval_is_of} would give.")
        said += self.about_chance()
        if self.pairs.without and len(ranked) > 1:
            names = [run.name for p in self.pairs.without for run in ranked[p].runs]
            said.append(f"{_named(names)}: {_OLDER}.")
        if len(self.shown) < len(self.names):
            said.append(
                f"Rows are named by {len(self.shown)} of {len(self.names)} settings that differ; "
                "leaderboard.csv has all."
            )
        unfinished = [run for run in self.board.runs if not run.ranks]
        if unfinished:
            states = Counter(run.shown_state for run in unfinished)
            each = ", ".join(f"{count} {state}" for state, count in states.items())
            said.append(
                f"{len(unfinished)} of {counted(len(self.board.runs), 'run')} without a result: "
                f"{each}."
            )
        return said

    def about_chance(self) -> list[str]:
        """What always naming the commonest class gives; nothing where that is not known."""
        board = self.board
        if board.chance is None:
            return []
        total = len(board.ranked)
        below = sum(board.is_above_chance(one) is False for one in board.ranked)
        words = f"{below or 'none'} of {total} intervals {'reach' if below > 1 else 'reaches'}"
        if total == 1:
            words = f"the interval {'reaches' if below else 'does not reach'}"
        return [
            f"Always naming the commonest class is right for {percent(board.chance)} of the "
            f"validation images; {words} down to that share."
        ]

    def _how(self, comparisons: int) -> str:
        test = f"by Student's t, which speaks of {_IMAGES_AND_SEEDS}"
        exact = "by McNemar's exact test, which speaks of these networks, not of other seeds"
        if not any(self.have_seeds):
            test = exact
        elif self.have_seeds.count(False) > 1:
            test += f", and those of a single seed {exact}"
        return (
            f"Compared {test}; {counted(comparisons, 'comparison')}, corrected for their number "
            f"(Holm, {ALPHA:g})."
        )


def leaderboard(runs: Sequence[FoundRun]) -> list[Ranking]:
    """Rank runs, those of different images apart, and compare them."""
    found = []
    for board in gather(runs):
        names = varied_settings(board.runs)
        found.append(Ranking(board, names, compare_pairs(board.ranked), turn_knobs(board, names)))
    return sorted(found, key=lambda one: -len(one.board.runs))


def command_of(run: FoundRun) -> tuple[str, str]:
    """The command that trains a run again, for a shell, and before it what that does.

    A run that went on from another one cannot be trained again by what was typed last, but for
    longer.
    """
    if any(override.lstrip("+").startswith("ckpt_path=") for override in run.typed):
        epochs = 2 * int(run.settings.get("trainer.max_epochs") or 1)
        words = [f"ckpt_path={run.run.path}", f"trainer.max_epochs={epochs}"]
        return "Train the best for longer", another("train", words)
    words = []
    for override in run.typed:
        name, _, value = override.partition("=")
        # Typed from where somebody stood; the run has written down where that was.
        if name in ("data.root", "data.masks_root", "data.labels") and run.settings.get(name):
            there = str(run.settings[name])
            if not user_path(value.strip("'\"")).is_absolute():
                override = f"{name}={there}"
        words.append(printable(override))
    return "Train the best again", another("train", words)


def different_data(rankings: Sequence[Ranking]) -> str:
    """Say that not all runs are compared with each other; nothing where they are."""
    if len(rankings) < 2:
        return ""
    return "Runs that were validated on different images are ranked apart."


def _images(pairs: Sequence[Pair]) -> str:
    counts = sorted({pair.found.images for pair in pairs})
    few, many = counts[0], counts[-1]
    return f"{few} images" if few == many else f"{few} to {many} images"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
