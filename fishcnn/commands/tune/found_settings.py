"""What a search has found: a table, figures, and the best settings as an experiment."""

import math
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fishcnn.commands.command_line import another
from fishcnn.commands.compare.found_runs import find_runs
from fishcnn.commands.compare.leaderboard import leaderboard
from fishcnn.commands.experiment_file import write_experiment
from fishcnn.commands.figures import save_figure
from fishcnn.commands.how_computed import HOW_COMPUTED, belongs
from fishcnn.commands.known_settings import KnownSettings
from fishcnn.commands.settings import CONF
from fishcnn.commands.terminal import Terminal, plain_table, print_raw
from fishcnn.commands.train.own_settings import OF_A_START, key_of
from fishcnn.commands.tune.space import Choice, Entry, Range, Value, setting_of
from fishcnn.commands.tune.study import ACCURACY, Search, best_of, loss_of
from fishcnn.models.scores import MONITOR
from fishcnn.plots.search_figures import importance, parallel_coordinates, search_history
from fishcnn.utils.errors import typed
from fishcnn.utils.files import made_folder
from fishcnn.utils.lock import locked
from fishcnn.utils.run_folder import JOURNAL, SEARCH_FIGURES
from fishcnn.utils.text import counted, for_shells, interval_95, percent

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_SHOWN = 5  # trials
_DRAWING_SECONDS = 120  # at most, of other processes that show what has been found
# Of fewer finished trials nothing can be said of a setting.
_FEWEST = 8
# What says where and how a run is written and computed, but for where a server has the images; and
# what is of a trial.
_ASIDE = {*OF_A_START, *HOW_COMPUTED, "trainer.compile", "trainer.devices", "data.inner_split"}
_ASIDE -= {"data.endpoint_url"}
_EPOCHS = "trainer.max_epochs"


def show_results(search: Search, fixed: Sequence[str], output: Path) -> None:
    """Print what has come of a search so far, draw it, and write the best settings.

    Args:
        search: with its trials.
        fixed: settings of all trials, as typed.
        output: where the best ones are written, for ``experiment=``.

    Raises:
        FishError: a file cannot be written.
    """
    finished = search.finished()
    console = Terminal()
    print_raw(console, ["", _counts(search)])
    best = best_of(finished)
    if best is None:
        print_raw(console, ["no trial has finished, so that none is the best"])
        return
    shares = importances(search)
    _print_best(console, search, sorted(finished, key=loss_of)[:_SHOWN])
    figures = search.folder / SEARCH_FIGURES
    # Processes that share a search end at about the same time.
    with locked(made_folder(figures), wait=_DRAWING_SECONDS):
        _draw(search, shares, figures)
        settings = best_settings(search.space, best, fixed)
        groups = [*KnownSettings("train").groups]
        write_experiment(output, settings, groups, _why(search, best))
    print_raw(console, _about_accuracy(search, best))
    name = output.stem if output.parent == CONF / "experiment" else str(output)
    journal = for_shells([str(search.folder / JOURNAL)])
    left_out = [word for word in fixed if word[0] == "~" and not belongs(key_of(word), _ASIDE)]
    epochs = [f" and {word}, as the trials had" for word in settings if key_of(word) == _EPOCHS]
    print_raw(
        console,
        [
            f"figures: {figures}",
            f"best settings: {output}",
            f"to look closer: optuna-dashboard {journal}",
            f"\nTrain with the best settings{''.join(epochs[-1:])}, on all training images:",
            f"  {another('train', [f'experiment={name}', *left_out])}",
        ],
    )


def _counts(search: Search) -> str:
    of = f"{counted(len(search.finished()), 'trial')} finished, {len(search.pruned())} pruned"
    others = {"failed": search.failed(), "still running": search.running()}
    more = [f"{len(trials)} {word}" for word, trials in others.items() if trials]
    return ", ".join([of, *more]) + f"; wanted: {search.wanted}"


def _print_best(console: Terminal, search: Search, best: "Sequence[FrozenTrial]") -> None:
    table = plain_table("trial", MONITOR, "accuracy", "settings")
    for trial in best:
        settings = [_shown(entry, trial.params[entry.name]) for entry in search.space]
        accuracy = percent(trial.user_attrs.get(ACCURACY))
        row = (
            search.run_of(trial).path.name,
            f"{loss_of(trial):.4f}",
            accuracy,
            " ".join(settings),
        )
        table.add_row(*row)
    console.print(table, markup=False, highlight=False)


def _about_accuracy(search: Search, best: "FrozenTrial") -> list[str]:
    """What the accuracy of the best trial is worth; nothing of one alone, or without its run."""
    run = search.run_of(best)
    if len(search.finished()) < 2 or not (run.summary.is_file() and run.config.is_file()):
        return []
    said = []
    for ranking in leaderboard(find_runs([str(run.path)])):
        for one in ranking.board.ranked:
            assert one.interval  # of what has finished
            among = counted(len(search.finished()), "finished trial")
            said += [
                f"Trial {run.path.name} has {percent(one.accuracy)} ({interval_95(one.interval)}) "
                f"on {counted(one.images, 'image')}, by which it was chosen among {among}: that "
                "flatters it, so expect less on others.",
                *ranking.about_chance(),
            ]
            if ranking.board.is_above_chance(one) is False:
                said[-1] += " What was found may be no better than that."
    return said


def _shown(entry: Entry, value: Value) -> str:
    """A setting by the last part of its name."""
    return f"{entry.name.rpartition('.')[2]}={typed(entry.as_set(value))}"


def importances(search: Search) -> dict[str, float]:
    """How much each setting matters for a low loss, adding up to 1; {} of too few trials.

    By PED-ANOVA (Watanabe et al. 2023), which compares how the best trials are spread with how all
    are.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    if len(search.finished()) < _FEWEST:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a setting that has had one value so far
        # The best quarter: of some dozen trials a tenth would be one or two.
        found = get_param_importances(
            search.study, evaluator=PedAnovaImportanceEvaluator(target_quantile=0.25)
        )
    return {name: float(share) for name, share in found.items() if math.isfinite(share)}


def _draw(search: Search, shares: dict[str, float], figures: Path) -> None:
    done = sorted([*search.finished(), *search.pruned()], key=lambda trial: trial.number)
    lowest = [
        loss_of(t) if t.state.name == "COMPLETE" else _lowest(t.intermediate_values.values())
        for t in done
    ]
    pruned = np.array([trial.state.name == "PRUNED" for trial in done])
    numbers = np.array([trial.number for trial in done], np.float64)
    drawn = {"history": search_history(numbers, np.array(lowest, np.float64), pruned)}
    finished = [trial for trial in done if trial.state.name == "COMPLETE"]
    title = f"Which settings matter, by {counted(len(finished), 'finished trial')}"
    if shares:
        drawn["importance"] = importance([*shares], np.array([*shares.values()]), title)
    order = [entry.name for entry in search.space]
    order.sort(key=lambda name: -shares.get(name, 0.0))
    space = {entry.name: entry for entry in search.space}
    places = [[_place(space[name], trial.params[name]) for name in order] for trial in finished]
    drawn["parallel_coordinates"] = parallel_coordinates(
        order,
        np.array(places, np.float64),
        [_scale(space[name]) for name in order],
        np.array([loss_of(trial) for trial in finished], np.float64),
        f"Settings of {counted(len(finished), 'finished trial')}",
    )
    for name, figure in drawn.items():
        save_figure(figure, figures / f"{name}.png")


def _lowest(losses: Iterable[float]) -> float:
    finite = [loss for loss in losses if math.isfinite(loss)]
    return min(finite, default=math.nan)


def _place(entry: Entry, value: Value) -> float:
    """Where a value stands between the lowest and the highest, from 0 to 1."""
    if isinstance(entry, Choice):
        return entry.values.index(value) / (len(entry.values) - 1)
    assert isinstance(value, int | float)
    low, high, here = entry.low, entry.high, float(value)
    if entry.log:
        low, high, here = math.log(low), math.log(high), math.log(here)
    return (here - low) / (high - low)


def _scale(entry: Entry) -> tuple[list[float], list[str]]:
    """Values that are written beside a scale, and where."""
    if isinstance(entry, Choice):
        values: list[Value] = [*entry.values]
    elif entry.is_whole and entry.high - entry.low <= 8 and not entry.log:
        values = [*range(int(entry.low), int(entry.high) + 1)]
    else:
        values = _between(entry)
    return [_place(entry, value) for value in values], [_number(value) for value in values]


def _between(entry: Range) -> list[Value]:
    """The ends and three values between them."""
    low, high = (math.log(e) if entry.log else e for e in (entry.low, entry.high))
    found = [low + (high - low) * step / 4 for step in range(5)]
    values = [math.exp(one) if entry.log else one for one in found]
    return [entry.low, *(round(v) if entry.is_whole else v for v in values[1:-1]), entry.high]


def _number(value: Value) -> str:
    return f"{value:.2g}" if isinstance(value, float) else typed(value)


def best_settings(space: Sequence[Entry], best: "FrozenTrial", fixed: Sequence[str]) -> list[str]:
    """What makes the best trial again: what was typed for all, and what was found."""
    kept = [word for word in fixed if word[0] != "~" and not belongs(key_of(word), _ASIDE)]
    return [*kept, *(setting_of(entry, best.params[entry.name]) for entry in space)]


def _why(search: Search, best: "FrozenTrial") -> str:
    accuracy = percent(best.user_attrs.get(ACCURACY))
    return (
        f"The best of {counted(len(search.finished()) + len(search.pruned()), 'trial')}: "
        f"{MONITOR} {loss_of(best):.4f}, accuracy {accuracy}, on images of the training split "
        f"that have chosen it; trial {search.run_of(best).path.name} of scripts/tune.py. Here is "
        "what was typed for all trials, their data and number of epochs too, and what was found; "
        "but not what was left out by ~. What is typed beside experiment= wins."
    )
