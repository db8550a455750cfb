"""The leaderboard as rows and as JSON, for machines."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fishcnn.commands.compare.configurations import Configuration
from fishcnn.commands.compare.found_runs import FoundRun
from fishcnn.commands.compare.leaderboard import RANKED_BY, Ranking, command_of
from fishcnn.commands.compare.pairs import Pair
from fishcnn.commands.compare.varied import shown_name, value_of


def to_json(rankings: Sequence[Ranking]) -> dict[str, Any]:
    """Everything, for machines."""
    return {"ranked_by": RANKED_BY, "data": [_ranking(one) for one in rankings]}


def _ranking(one: Ranking) -> dict[str, Any]:
    ranked = [
        {
            "rank": place + 1,
            **_configuration(configuration, one),
            "against_the_best": one.verdict(place),
            "above_chance": one.board.is_above_chance(configuration),
        }
        for place, configuration in enumerate(one.board.ranked)
    ]
    waiting = [{"rank": None, **_configuration(c, one)} for c in one.board.waiting]
    best = one.board.ranked[0].best_run if one.board.ranked else None
    return {
        "name": one.board.data,
        "varied": [shown_name(name) for name in one.names],
        "repeated_over": one.repeats,
        "chance": one.board.chance,
        "configurations": ranked + waiting,
        "best_command": best and command_of(best)[1],
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
        "first": first.label(one.names),
        "second": second.label(one.names),
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
