"""What was varied between runs: the settings that differ, as they were resolved."""

from collections.abc import Sequence
from typing import Any

from fishcnn.commands.compare.found_runs import FoundRun
from fishcnn.commands.how_computed import HOW_COMPUTED, belongs
from fishcnn.commands.train.own_settings import OF_A_START
from fishcnn.utils.errors import typed

# These repeat a measurement rather than change what is measured.
FOLD, SPLIT_SEED = "data.fold", "data.split_seed"
REPEATS = (FOLD, SPLIT_SEED, "seed")
EXPERIMENT = "experiment"
NO_EXPERIMENT = "null"  # as it is typed, and in the files for machines
# Runs of different images are told apart before.
_IMAGES = ("data.root", "data.masks_root", "data.labels", "data.layout")
_ASIDE = (*OF_A_START, *HOW_COMPUTED, *_IMAGES, "tune")
_ABSENT = object()


def settings_of(run: FoundRun) -> dict[str, Any]:
    """What a run was trained with, as far as that changes what is trained; without repeats."""
    return {
        name: value
        for name, value in run.settings.items()
        if name not in REPEATS and not belongs(name, _ASIDE)
    }


def varied_settings(runs: Sequence[FoundRun]) -> list[str]:
    """Name the settings by which the runs differ, in the order of the configuration.

    Where a group is exchanged, such as ``model``, it stands for all that follows from that, and so
    does an experiment; a setting that somebody has typed stands for itself.
    """
    known = [run for run in runs if run.settings]
    of_run = [settings_of(run) for run in known]
    names = dict.fromkeys(name for settings in of_run for name in settings)
    differing = [
        name
        for name in names
        if len({_key(settings.get(name, _ABSENT)) for settings in of_run}) > 1
    ]
    by_hand = {one.lstrip("+~").partition("=")[0] for run in known for one in run.typed}
    exchanged = [name.removesuffix(".name") for name in differing if name.endswith(".name")]
    experiments = [experiment_of(run) for run in known]
    found = [EXPERIMENT] if len(set(experiments)) > 1 else []
    for name in differing:
        group = name.partition(".")[0]
        if name in by_hand or (name == f"{group}.name" and group in by_hand):
            found.append(name)
            continue
        causes = [[_key(s.get(f"{group}.name", _ABSENT)) for s in of_run]]
        if group not in exchanged or name == f"{group}.name":
            causes = []
        causes += [experiments] if EXPERIMENT in found else []
        values = [_key(settings.get(name, _ABSENT)) for settings in of_run]
        if not any(_follows(values, cause) for cause in causes):
            found.append(name)
    return found


def _follows(values: Sequence[str], cause: Sequence[str]) -> bool:
    """Whether values are known from those of another setting."""
    return len(set(zip(cause, values, strict=True))) == len(set(cause))


def experiment_of(run: FoundRun) -> str:
    """The experiment that was typed for a run; :data:`NO_EXPERIMENT` for none."""
    chosen = [one.partition("=")[2] for one in run.typed if one.startswith(f"{EXPERIMENT}=")]
    return chosen[-1] if chosen else NO_EXPERIMENT


def value_of(run: FoundRun, name: str) -> Any:  # noqa: ANN401 - settings are of any type
    """A setting of a run; None where it has none."""
    return experiment_of(run) if name == EXPERIMENT else run.settings.get(name)


def has(run: FoundRun, name: str) -> bool:
    """Whether there is such a setting for a run; each model has its own."""
    return name == EXPERIMENT or name in run.settings


def shown_value(run: FoundRun, name: str) -> str:
    """A setting of a run in the fewest letters; a dash where it has none."""
    if not has(run, name):
        return "-"
    value = value_of(run, name)
    return f"{value:.4g}" if isinstance(value, float) else typed(value)


def in_words(name: str, text: str) -> str:
    """A value of a setting for people, of one that :func:`shown_value` gives."""
    return "none" if (name, text) == (EXPERIMENT, NO_EXPERIMENT) else text


def shown_name(name: str) -> str:
    """A setting as it is typed: a group by its own name."""
    return name.removesuffix(".name")


def short_names(names: Sequence[str]) -> list[str]:
    """Settings by the last part of their names, where that tells them apart."""
    last = [shown_name(name).rpartition(".")[2] for name in names]
    return [
        shown_name(name) if last.count(word) > 1 else word
        for name, word in zip(names, last, strict=True)
    ]


def _key(value: object) -> str:
    """Equal for equal values; 1 and 1.0 are."""
    if value is _ABSENT:
        return ""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return repr(float(value)) if number else typed(value)  # type: ignore[arg-type]


def configuration_key(run: FoundRun) -> tuple[tuple[str, str], ...]:
    """Equal for runs that differ in nothing but repeats."""
    return tuple(sorted((name, _key(value)) for name, value in settings_of(run).items()))
