"""The leaderboard of runs: ranks, verdicts, and what each setting did. Nothing is written here."""

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fishcnn.commands.compare.configurations import Board, Configuration, gather
from fishcnn.commands.compare.found_runs import FoundRun
from fishcnn.commands.compare.knobs import Knobs, turn_knobs
from fishcnn.commands.compare.pairs import ALPHA, Pair, Pairs, compare_pairs
from fishcnn.commands.compare.varied import REPEATS, shown_name, value_of, varied_settings
from fishcnn.utils.machine import user_path
from fishcnn.utils.text import counted, percent, printable

RANKED_BY = (
    "Ranked by the validation accuracy of the checkpoint that is kept, that of the lowest "
    "validation loss. Checkpoint and rank were chosen on these images, which flatters the first: "
    "judge it on images that have chosen nothing."
)
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

    def label(self, configuration: Configuration) -> str:
        """What was varied, in the fewest words."""
        return configuration.label(self.names)

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
        if self.pairs.without and len(ranked) > 1:
            names = [run.name for p in self.pairs.without for run in ranked[p].runs]
            said.append(f"{_named(names)}: {_OLDER}.")
        unfinished = [run for run in self.board.runs if not run.ranks]
        if unfinished:
            states = Counter(run.shown_state for run in unfinished)
            each = ", ".join(f"{count} {state}" for state, count in states.items())
            said.append(
                f"{len(unfinished)} of {counted(len(self.board.runs), 'run')} without a result: "
                f"{each}."
            )
        return said

    def _how(self, comparisons: int) -> str:
        seeds = any(
            len({str(r.settings.get("seed")) for r in c.runs}) > 1 for c in self.board.ranked
        )
        test = (
            "by Student's t, of other images and other seeds"
            if seeds
            else "by McNemar's exact test, which speaks of these networks, not of other seeds"
        )
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


def command_of(run: FoundRun) -> str:
    """The command that trains a run again, for a shell."""
    words = []
    for override in run.typed:
        name, _, value = override.partition("=")
        # Typed from where somebody stood; the run has written down where that was.
        if name in ("data.root", "data.masks_root", "data.labels") and run.settings.get(name):
            there = str(run.settings[name])
            if not user_path(value.strip("'\"")).is_absolute():
                override = f"{name}={there}"
        words.append(printable(override))
    return shlex.join(["python", "scripts/train.py", *words])


def different_data(rankings: Sequence[Ranking]) -> str:
    """Say that not all runs are compared with each other; nothing where they are."""
    if len(rankings) < 2:
        return ""
    names = ", ".join(
        f"{one.board.data} ({counted(len(one.board.runs), 'run')})" for one in rankings
    )
    return f"Runs of different images are not compared with each other: {names}."


def to_json(rankings: Sequence[Ranking]) -> dict[str, Any]:
    """Everything, for machines."""
    return {"ranked_by": RANKED_BY, "data": [_ranking(one) for one in rankings]}


def _ranking(one: Ranking) -> dict[str, Any]:
    ranked = [
        {
            "rank": place + 1,
            **_configuration(configuration, one),
            "against_the_best": one.verdict(place),
        }
        for place, configuration in enumerate(one.board.ranked)
    ]
    waiting = [{"rank": None, **_configuration(c, one)} for c in one.board.waiting]
    best = one.board.ranked[0].best_run if one.board.ranked else None
    return {
        "name": one.board.data,
        "varied": [shown_name(name) for name in one.names],
        "repeated_over": one.repeats,
        "configurations": ranked + waiting,
        "best_command": best and command_of(best),
        "sentences": one.sentences(),
        "pairs": [pair_row(pair, one) for pair in one.pairs.pairs.values()],
        "effects": {
            "balanced": one.knobs.balanced,
            "separable": one.knobs.separable,
            "remark": one.knobs.remark(),
            "settings": [
                {
                    "name": knob.name,
                    "spread": knob.effect.spread,
                    "p_value": knob.effect.p_value,
                    "values": [
                        {"value": level, "mean": mean, "half_width": half, "runs": number}
                        for level, mean, half, number in zip(
                            knob.levels,
                            knob.effect.means.tolist(),
                            knob.effect.half_widths.tolist(),
                            np.bincount(knob.level_of).tolist(),
                            strict=True,
                        )
                    ],
                }
                for knob in one.knobs.knobs
            ],
        },
    }


def _configuration(configuration: Configuration, one: Ranking) -> dict[str, Any]:
    run = configuration.any_run
    return {
        "settings": {shown_name(name): value_of(run, name) for name in one.names},
        "val_acc": configuration.accuracy,
        "val_acc_interval": configuration.interval,
        "val_f1": configuration.mean("val_f1"),
        "energy_on_fish": configuration.mean("energy"),
        "val_pictures": configuration.images,
        "epochs": configuration.mean("epochs"),
        "seconds": configuration.mean("seconds"),
        "runs": [run_row(run, one) for run in (*configuration.runs, *configuration.unfinished)],
    }


def run_row(run: FoundRun, one: Ranking) -> dict[str, Any]:
    """A run as a row; what is not known is None."""
    ends = run.summary.get("val_acc_interval")
    low, high = ends if isinstance(ends, list) and len(ends) == 2 else (None, None)
    return {
        "run": run.name,
        "state": run.shown_state,
        **{shown_name(name): value_of(run, name) for name in (*one.names, *one.repeats)},
        "val_acc": run.number("val_acc"),
        "val_acc_low": low,
        "val_acc_high": high,
        "val_f1": run.number("val_f1"),
        "val_loss": run.number("val_loss"),
        "energy_on_fish": run.energy,
        "val_pictures": run.images or None,
        "epochs": _whole(run.number("epochs")),
        "best_epoch": _whole(run.number("best_epoch")),
        "seconds": run.number("seconds"),
        "checkpoint": run.summary.get("checkpoint"),
        "folder": str(run.run.path),
    }


def pair_row(pair: Pair, one: Ranking) -> dict[str, Any]:
    """A comparison as a row, of configurations by rank."""
    first, second = one.board.ranked[pair.first], one.board.ranked[pair.second]
    return {
        "first_rank": pair.first + 1,
        "second_rank": pair.second + 1,
        "first": one.label(first),
        "second": one.label(second),
        "images": pair.found.images,
        "difference": pair.found.difference,
        "only_first": pair.found.only_first,
        "only_second": pair.found.only_second,
        "p_value": pair.found.p_value,
        "p_adjusted": pair.adjusted,
        "distinguishable": pair.is_sure,
        "images_needed": None if pair.is_sure else pair.needed,
    }


def _whole(number: float | None) -> int | None:
    return None if number is None or not math.isfinite(number) else int(number)


def _images(pairs: Sequence[Pair]) -> str:
    counts = sorted({pair.found.images for pair in pairs})
    few, many = counts[0], counts[-1]
    return f"{few} images" if few == many else f"{few} to {many} images"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
