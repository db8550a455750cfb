"""Going on with a run under its own settings: what was typed for it, and what is typed now.

Read before Hydra composes anything, so nothing heavy may be imported here.
"""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig

from fishcnn.commands.run_files import read_config, read_overrides
from fishcnn.utils.machine import user_path
from fishcnn.utils.run_folder import CHECKPOINTS, LAST, RunFolder

# Settings of a start, which say nothing of the run.
OF_A_START = ("ckpt_path", "find_lr", "runs")


class _Typed:
    """Of this process: the names of the settings that were typed for this start."""

    names: frozenset[str] = frozenset()


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
    begin = len(arguments)
    while begin and not arguments[begin - 1].startswith("-") and _is_override(arguments[begin - 1]):
        begin -= 1
    _Typed.names = frozenset()
    try:
        typed = OverridesParser.create().parse_overrides([*arguments[begin:]])
    except HydraException:
        return [*arguments]
    values = {_name(override): _first_value(override) for override in typed}
    if values.get("data") == "folder" and "data.root" in values:
        # It says where images are, perhaps those of another source by now.
        typed = [override for override in typed if _name(override) != "data"]
    _Typed.names = frozenset(map(_name, typed))
    run = named_run(values.get("ckpt_path"), user_path(values.get("runs") or "runs"))
    if run is None:
        return [*arguments]
    return [*arguments[:begin], *merged(run, [str(one.input_line) for one in typed])]


def named_run(ckpt_path: str | None, runs: Path) -> RunFolder | None:
    """The run that ``ckpt_path=`` names, itself or one of its checkpoints; None if none is known.

    Args:
        ckpt_path: as typed; ``last`` is the run below ``runs`` that got a checkpoint last.
        runs: where that is looked for.
    """
    if not ckpt_path:
        return None
    if ckpt_path == LAST:
        run = RunFolder.newest_below(runs.absolute())
    else:
        path = user_path(ckpt_path)
        found = path / CHECKPOINTS if path.is_dir() else path.resolve().parent
        run = RunFolder(found.parent)
    return run if run and run.config.is_file() else None


def typed_now(name: str) -> bool:
    """Whether a setting was typed for this start, or a group of settings that it belongs to."""
    parts = name.split(".")
    return any(".".join(parts[: end + 1]) in _Typed.names for end in range(len(parts)))


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
    replaced = {_key(override): override for override in now}
    exchanged = {
        group
        for group, settings in config.items()
        if isinstance(settings, DictConfig) and group in replaced
        # Groups of one choice have no name.
        if settings.get("name") not in (None, replaced[group].partition("=")[2])
    }
    kept = []
    for override in read_overrides(run):
        key = _key(override)
        added = override.startswith("+") and replaced.get(key, "+")[0] not in "+~"
        if key in OF_A_START or key.partition(".")[0] in exchanged:
            continue
        if key not in replaced or added:
            kept.append(override)
    return [*kept, *now]


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~").partition("@")[0].replace("/", ".")


def _name(override: Override) -> str:
    return _key(override.key_or_group)


def _first_value(override: Override) -> str:
    value = override.value()
    if override.is_sweep_override():
        value = next(override.sweep_iterator(), None)
    return "" if value is None else str(value).strip("'\"")


def _is_override(argument: str) -> bool:
    return "=" in argument or argument[:1] in "+~"
