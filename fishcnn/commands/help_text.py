"""The settings that ``--help`` lists, each with the comment that it has in ``conf/``."""

import re
from collections.abc import Iterator
from pathlib import Path

from fishcnn.commands.known_settings import KnownSettings, files_of
from fishcnn.commands.settings import CONF, choices

_KEY = re.compile(r"( *)([\w-]+):(?: .*)?")
_AFTER_VALUE = re.compile(r"[^'\"#]*(?:'[^']*'|\"[^\"]*\")?[^'\"#]* # (.*)")
_CONFIG = "== Config =="  # in the help of Hydra, before the settings


def with_comments(text: str, command: str) -> str:
    """Write the comments of ``conf/`` above the settings in the help of a command.

    Args:
        text: Hydra's, with the settings as YAML.
        command: its name.
    """
    before, found, settings = text.partition(_CONFIG)
    comments = {name: said for file in files_of(command) for name, said in _comments(file)}
    lines = []
    names = list(_names(settings))
    for group in KnownSettings(command).groups:
        (choice,) = re.findall(rf"^{group}:\n(?:  .*\n)*?  name: (\w+)$", settings, re.M) or [""]
        for one in [choice] if choice in choices(group) else choices(group):
            comments |= dict(_comments_of_choice(group, one))
    for line, name in zip(settings.split("\n"), names, strict=True):
        indent = len(line) - len(line.lstrip())
        lines += [f"{' ' * indent}# {comment}" for comment in comments.get(name, ())]
        lines.append(line)
    return before + found + "\n".join(lines)


def _comments_of_choice(group: str, choice: str) -> Iterator[tuple[str, list[str]]]:
    file = CONF / group / f"{choice}.yaml"
    inherited = re.findall(r"^defaults: \[(\w+), _self_\]", file.read_text("utf-8"), re.M)
    for other in inherited:
        yield from _comments_of_choice(group, other)
    yield from _comments(file, f"{group}.")


def _comments(file: Path, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """The comments of a file, by the dotted name of the setting that they stand above or beside."""
    text = file.read_text("utf-8")
    above: list[str] = []
    for line, name in zip(text.split("\n"), _names(text), strict=True):
        if line.lstrip().startswith("#"):
            above.append(line.lstrip().removeprefix("#").strip())
            continue
        beside = _AFTER_VALUE.fullmatch(line)
        comment = above + ([beside[1]] if beside else [])
        if name == "defaults" and prefix:  # what the choice is for
            name = "name"
        if name and comment:
            yield f"{prefix}{name}", comment
        above = []


def _names(text: str) -> Iterator[str]:
    """The dotted name of the setting on each line of YAML; empty where there is none."""
    path: list[tuple[int, str]] = []
    for line in text.split("\n"):
        key = _KEY.fullmatch(line)
        if key is None:
            yield ""
            continue
        depth = len(key[1])
        path = [*((d, name) for d, name in path if d < depth), (depth, key[2])]
        yield ".".join(name for _, name in path)
