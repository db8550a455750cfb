"""The names of all settings of a command, read from ``conf/`` without composing it.

Imported before Hydra answers ``--help``, so nothing heavy may be imported here.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from fishcnn.commands.settings import CONF, choices, leaves

# Groups whose further arguments, added by ``+``, are those of Lightning or of torch, and checked
# as such before anything is read.
_TAKE_MORE = {"optimizer", "scheduler", "trainer"}

Choices = Mapping[str, Sequence[str]]


class KnownSettings:
    """The settings of one command.

    Attributes:
        command: its name.
        groups: those that are chosen by name, each with its default; None is none.
        own: settings outside these groups, by dotted name, with their defaults.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self.groups: dict[str, str | None] = {}
        self.own: dict[str, Any] = {}
        for file in files_of(command):
            content = _read(file)
            self.groups |= dict(_chosen_in(content))
            self.own |= _settings_in(content)

    def chosen(self, typed: Choices) -> dict[str, list[str]]:
        """What is chosen of each group in any job of a sweep.

        Args:
            typed: choices on the command line, which win over those that an experiment makes.
        """
        choice = {group: [name] if name else [] for group, name in self.groups.items()}
        made: dict[str, list[str]] = {}
        for group, names in typed.items():
            for name in names:
                for other, its in _chosen_by(group, name):
                    made.setdefault(other, []).append(its)
        return choice | made | {group: list(names) for group, names in typed.items()}

    def having(self, name: str) -> list[tuple[str, str]]:
        """The choices, each as its group and its name, that have a setting."""
        group = name.partition(".")[0]
        if group not in self.groups:
            return []
        return [
            (group, one) for one in choices(group) if name in _with_nodes(settings_of(group, one))
        ]

    def current(self, typed: Choices) -> set[str]:
        """Names of all settings that every job has, and of the nodes that they are below."""
        names = set(self.own)
        for group, chosen in self.chosen(typed).items():
            each = [set(settings_of(group, choice)) for choice in chosen]
            if group == "experiment" or not each:
                names.update(*each)
            else:
                names |= set.intersection(*each)
        return _with_nodes(names)

    def everything(self) -> dict[str, Any]:
        """All settings of all choices, with defaults; first those that are there by default."""
        names = dict(self.own)
        for group, default in self.groups.items():
            names |= settings_of(group, default) if default else {}
        for group in self.groups:
            for choice in choices(group):
                names = settings_of(group, choice) | names
        return names

    def takes_more(self, name: str) -> bool:
        """Whether a setting can be added with ``+``: an argument of Lightning or of torch."""
        group, _, argument = name.partition(".")
        return bool(argument) and group in _TAKE_MORE and group in self.groups


def files_of(command: str) -> list[Path]:
    """The file of a command in ``conf/``, and before it those of commands whose settings it has."""
    file = CONF / f"{command}.yaml"
    texts = (entry for entry in _read(file).get("defaults", []) if isinstance(entry, str))
    others = (CONF / f"{entry}.yaml" for entry in texts if "/" not in entry)
    return [*(other for other in others if other.is_file()), file]


def commands_with(name: str) -> list[str]:
    """The commands that have a setting, or a group, of that name."""
    commands = sorted(file.stem for file in CONF.glob("*.yaml"))
    found = map(KnownSettings, commands)
    return [one.command for one in found if name in one.groups or name in one.everything()]


@cache
def settings_of(group: str, choice: str) -> dict[str, Any]:
    """The settings that a choice of a group brings along, by dotted name, with defaults."""
    file = CONF / group / f"{choice}.yaml"
    if not file.is_file():
        return {}
    content = _read(file)
    names: dict[str, Any] = {}
    for entry in content.get("defaults", []):
        if isinstance(entry, str) and entry != "_self_":
            names |= settings_of(group, entry)
    return names | _settings_in(content, "" if _is_global(file) else f"{group}.")


def _chosen_by(group: str, choice: str) -> Iterator[tuple[str, str]]:
    """The choices of other groups that a choice makes, as an experiment does; later ones win."""
    file = CONF / group / f"{choice}.yaml"
    if not file.is_file():
        return
    content = _read(file)
    made: dict[str, str] = {}
    for entry in content.get("defaults", []):
        if isinstance(entry, str) and entry != "_self_":
            made |= dict(_chosen_by(group, entry))
    yield from (made | {name: one for name, one in _chosen_in(content) if one}).items()


def _chosen_in(content: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    for entry in content.get("defaults", []):
        for key, choice in entry.items() if isinstance(entry, dict) else ():
            group = str(key).split()[-1].lstrip("/")  # of "override /model"
            if not group.startswith("hydra/"):
                yield group, choice


def _settings_in(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    ours = {key: value for key, value in content.items() if key not in ("defaults", "hydra")}
    return dict(leaves(ours, prefix))


def _with_nodes(names: Mapping[str, Any] | set[str]) -> set[str]:
    parts = [name.split(".") for name in names]
    return {".".join(part[:end]) for part in parts for end in range(1, len(part) + 1)}


def _is_global(file: Path) -> bool:
    return file.read_text(encoding="utf-8").startswith("# @package _global_")


@cache
def _read(file: Path) -> dict[str, Any]:
    content = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}
