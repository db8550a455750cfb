"""Settings of a training in a file, such as a search writes: ``experiment=PATH.yaml``.

It is read as what might have been typed in its place, so that a run needs the file no more once it
has begun. Imported before Hydra answers ``--help``, so nothing heavy may be imported here.
"""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import yaml
from hydra.core.override_parser.types import Quote, QuotedString

from fishcnn.commands.known_settings import KnownSettings
from fishcnn.commands.overrides import parsed
from fishcnn.commands.settings import choices, leaves
from fishcnn.commands.typed_settings import Word, with_earlier
from fishcnn.utils.errors import FishError, typed
from fishcnn.utils.files import write_text
from fishcnn.utils.machine import user_path

_GROUP = "experiment"
_SUFFIXES = (".yaml", ".yml")
_HEADER = "# @package _global_"
_WIDTH = 98  # of a comment


def with_experiment_files(words: Sequence[Word], known: KnownSettings) -> list[Word]:
    """Put the settings of every ``experiment=PATH`` before what else was typed, which wins.

    Args:
        words: of the command line.
        known: the settings there are.

    Raises:
        FishError: there is no such file, or it is not an experiment.
    """
    settings, rest = [], []
    for word in words:
        path = word.text.partition("=")[2].strip("'\"")
        plain = not word.slip and not word.reading and word.text[:1] != "~"
        if plain and word.name == _GROUP and path.endswith(_SUFFIXES):
            settings += read_experiment(user_path(path), known)
        else:
            rest.append(word)
    return with_earlier(settings, rest, known)


def read_experiment(file: Path, known: KnownSettings) -> list[str]:
    """The settings of a file as they would be typed, choices of groups first.

    Raises:
        FishError: it cannot be read, or is not an experiment.
    """
    said = f"{_GROUP}={file}"
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        there = ", ".join(choices(_GROUP))
        raise FishError(
            f"{said}: there is no such file; choose one of {there}, or a file that "
            "scripts/tune.py has written"
        ) from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FishError(f"{said} cannot be read ({reason})") from error
    defaults = content.setdefault("defaults", []) if isinstance(content, dict) else None
    if not isinstance(defaults, list):
        raise FishError(f"{said} is not an experiment: it has no settings with values")
    words = []
    for entry in defaults:
        for group, choice in entry.items() if isinstance(entry, dict) else [(_GROUP, entry)]:
            name = str(group).split()[-1].lstrip("/")  # of "override /model"
            if choice == "_self_":
                continue
            if name not in known.groups or choice not in choices(name):
                raise FishError(f"{said}: there is no {name}={typed(choice)}")
            words.append(f"{name}={choice}")
    everything = known.everything()
    del content["defaults"]
    for name, value in leaves(content):
        added = "" if name in everything else "+"
        words.append(f"{added}{name}={_typed(value)}")
    return words


def write_experiment(file: Path, settings: Sequence[str], groups: Sequence[str], why: str) -> None:
    """Write a file that ``experiment=`` takes, by its path or, in ``conf/``, by its name.

    Args:
        file: its folder is there.
        settings: as they are typed; of several of the same name the last one counts.
        groups: names of those that are choices of a group.
        why: a comment.

    Raises:
        FishError: the file cannot be written.
    """
    content: dict[str, Any] = {}
    chosen: dict[str, str] = {}
    for setting in settings:
        override = parsed(setting)
        name, _, text = setting.lstrip("+").partition("=")
        if name in groups:
            chosen[name] = text.strip("'\"")
        elif override is not None:
            node = content
            *above, key = name.split(".")
            for one in above:
                node = node.setdefault(one, {})
            value = override.value()
            node[key] = value.text if isinstance(value, QuotedString) else value
    base = [chosen.pop(_GROUP)] if _GROUP in chosen else []
    defaults = [*base, *({f"override /{group}": one} for group, one in chosen.items())]
    whole = {"defaults": defaults, **content} if defaults else content
    body = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)
    comment = [f"# {line}\n" for line in wrap(why, _WIDTH)]
    write_text(file, f"{_HEADER}\n{''.join(comment)}{body}")


def _typed(value: Any) -> str:  # noqa: ANN401 - anything that YAML can hold
    """A value as Hydra reads it, texts between quotes."""
    if isinstance(value, list):
        return f"[{','.join(map(_typed, value))}]"
    if isinstance(value, str):
        return str(QuotedString(value, Quote.single).with_quotes())
    return typed(value)
