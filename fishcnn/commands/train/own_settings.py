"""Going on with a run under its own settings: what was typed for it, and what is typed now.

Read before Hydra composes anything, so nothing heavy may be imported here.
"""

from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from fishcnn.commands.overrides import is_sweep, options_and_overrides
from fishcnn.commands.run_files import read_config, read_overrides
from fishcnn.utils.machine import user_path
from fishcnn.utils.run_folder import CHECKPOINTS, LAST, RunFolder

# Settings of a start, which say nothing of the run.
OF_A_START = ("ckpt_path", "find_lr", "runs", "sweep")
_READ_HERE = ("ckpt_path", "runs", "data", "hydra.sweep.dir")


class _Start:
    """Of this process."""

    typed: frozenset[str] = frozenset()  # the names of the settings
    last: RunFolder | None = None  # the run that had got a checkpoint last when the start began
    run: RunFolder | None = None  # the one whose settings Hydra was given


def known() -> tuple[frozenset[str], RunFolder | None]:
    """What is known of a start, for the jobs that run in other processes."""
    return _Start.typed, _Start.last


def know(start: tuple[frozenset[str], RunFolder | None]) -> None:
    """Know in this process what the first one does; see :func:`known`."""
    _Start.typed, _Start.last = start


def with_own_settings(arguments: Sequence[str]) -> list[str]:
    """Put what was typed for the run that ``ckpt_path=`` names before what is typed now.

    So Hydra knows the settings of the groups of that run, such as ``data.root``. Of several runs in
    a sweep it is the first. Where no run is named, or Hydra will refuse what is typed, the
    arguments stay as they are.

    Args:
        arguments: for Hydra, without the program; options come before the settings.

    Raises:
        FishError: the configuration of that run is missing or damaged.
    """
    options, overrides = options_and_overrides(arguments)
    _Start.typed, _Start.last, _Start.run = frozenset(), None, None
    try:
        typed = OverridesParser.create().parse_overrides(overrides)
        values = {_name(one): _values(one) for one in typed if _name(one) in _READ_HERE}
    except HydraException:  # functions of Hydra such as glob(*) as well, where they name no values
        return [*arguments]
    if values.get("data") == ["folder"] and "data.root" in values:
        # It says where images are, perhaps those of another source by now.
        typed = [override for override in typed if _name(override) != "data"]
    _Start.typed = frozenset(map(_name, typed))
    (runs, *_), (sweep, *_) = values.get("runs", ["runs"]), values.get("hydra.sweep.dir", [""])
    named = values.get("ckpt_path", [""])
    if LAST in named:
        # Typed again, a sweep finds what it has trained before.
        own = user_path(sweep) if sweep and is_sweep(options) else None
        _Start.last = RunFolder.newest_below(user_path(runs or "runs").absolute(), but=own)
    run = _Start.run = named_run(named[0])
    if run is None:
        return [*arguments]
    return [*options, *merged(run, [str(one.input_line) for one in typed])]


def not_there(name: str) -> str:
    """Say that there is no such setting of what was chosen, if need be by the run that goes on.

    Args:
        name: of what Hydra refuses.
    """
    if _Start.run is None:
        return f"{name}: no such setting of what is chosen here"
    group = name.partition(".")[0]
    choice = OmegaConf.select(read_config(_Start.run), f"{group}.name")
    of = f"of which {group}={choice} has" if choice else "which have"
    return (
        f"{_Start.run.path} goes on with its own settings, {of} no {name}; leave it out, or leave "
        "out ckpt_path= to begin another run"
    )


def named_run(ckpt_path: str | None) -> RunFolder | None:
    """The run that ``ckpt_path=`` names, itself or one of its checkpoints; None if none is known.

    Args:
        ckpt_path: as typed; ``last`` is :func:`last_run`.
    """
    if not ckpt_path:
        return None
    if ckpt_path == LAST:
        run = last_run()
    else:
        path = user_path(ckpt_path)
        found = path / CHECKPOINTS if path.is_dir() else path.resolve().parent
        run = RunFolder(found.parent)
    return run if run and run.config.is_file() else None


def last_run() -> RunFolder | None:
    """The run that had got a checkpoint last when this start began; the same for every job."""
    return _Start.last


def typed_now(name: str, *, itself: bool = False) -> bool:
    """Whether a setting was typed for this start, or a group of settings that it belongs to.

    Args:
        name: of the setting.
        itself: whether the setting alone counts, not a group.
    """
    if itself:
        return name in _Start.typed
    parts = name.split(".")
    return any(".".join(parts[: end + 1]) in _Start.typed for end in range(len(parts)))


def merged(run: RunFolder, now: Sequence[str]) -> list[str]:
    """What is typed now, behind what was typed for a run and is not replaced by that.

    A group of which another choice is made drops what was typed for its old one. ``+setting=`` is
    kept, as without it Hydra knows no such setting.

    Args:
        run: whose settings are taken.
        now: overrides as Hydra parses them.

    Raises:
        FishError: the configuration of the run is missing or damaged.
    """
    config = read_config(run)
    replaced = {key_of(override): override for override in now}
    exchanged = {
        group
        for group, settings in config.items()
        if isinstance(settings, DictConfig) and group in replaced
        # Groups of one choice have no name.
        if settings.get("name") not in (None, replaced[group].partition("=")[2])
    }
    kept = []
    for override in read_overrides(run):
        key = key_of(override)
        added = override.startswith("+") and replaced.get(key, "+")[0] not in "+~"
        if key in OF_A_START or key.partition(".")[0] in exchanged:
            continue
        if key not in replaced or added:
            kept.append(override)
    return [*kept, *now]


def typed_for_job() -> list[str]:
    """What was typed for the job that runs, as Hydra takes it."""
    # As typed: an interpolation would be looked for among the settings of Hydra.
    task = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    assert isinstance(task, list)
    return task


def key_of(override: str) -> str:
    """The name of the setting or the group that an override is for."""
    return override.partition("=")[0].lstrip("+~").partition("@")[0].replace("/", ".")


def _name(override: Override) -> str:
    return key_of(override.key_or_group)


def _values(override: Override) -> list[str]:
    value = override.value()
    values = [*override.sweep_iterator()] if override.is_sweep_override() else [value]
    return ["" if one is None else str(one).strip("'\"") for one in values]
