"""The command as it was typed, for messages that say what to type next.

What is printed runs where it was typed: in the same folder, environment and shell. Nothing heavy
may be imported here, as a signal may ask for it at any time.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence

from fishcnn.utils.text import for_shells

# Of "uv run" and its like, which let their programs alone find those of the environment.
_RUNNERS = {"UV_RUN_RECURSION_DEPTH", "POETRY_ACTIVE", "PIPENV_ACTIVE", "HATCH_ENV_ACTIVE"}
_PLAIN = re.compile(r"[\w./+:@%-]+", re.ASCII)


class _Typed:
    """Of this process; as the README has it where nothing was typed."""

    words: Sequence[str] = ("python", "scripts/train.py")
    program = 2  # how many of them are the program and its command


def remember(words: Sequence[str], program: int) -> None:
    """Keep what was typed, from the program on, before anything is quoted for Hydra.

    Args:
        words: of the command line.
        program: how many of them are the program (:func:`as_typed`) and the name of its command.
    """
    _Typed.words, _Typed.program = words, program


def as_typed(program: Sequence[str]) -> list[str]:
    """How this program was started, as a shell takes it: by its name where that is found.

    Args:
        program: its file, and the name of its command where that stands for itself; from
            ``sys.argv``.
    """
    file, *command = program
    if not file.endswith(".py"):
        return [_found(os.path.basename(file), file), *command]
    python = _found(sys.orig_argv[0], sys.executable)
    if os.path.basename(file) == "__main__.py":
        return [python, "-m", "fishcnn", *command]
    return [python, file, *command]


def _found(name: str, file: str) -> str:
    """The name by which a shell finds a program, else its file."""
    found = None if _RUNNERS & os.environ.keys() else shutil.which(name)
    # Not where links lead to, as the python of an environment is a link to another one.
    return name if found and os.path.abspath(found) == os.path.abspath(file) else file


def has_setting(name: str) -> bool:
    """Whether a setting was typed."""
    return any(word.startswith(f"{name}=") for word in _Typed.words)


def with_setting(name: str, value: str) -> str:
    """The command that was typed, with a setting added unless it is there, quoted for a shell."""
    if has_setting(name):
        return retyped({})
    return retyped({name: value})


def retyped(changes: Mapping[str, str | None]) -> str:
    """The command that was typed, with settings changed, or left out by None; for a shell."""
    words = [word for word in _Typed.words if word.partition("=")[0] not in changes]
    return for_shells([*words, *_settings(changes)])


def with_words(words: Sequence[str]) -> str:
    """The command that was typed, with other words after its name; for a shell."""
    return for_shells([*_Typed.words[: _Typed.program], *words])


def instead(settings: Mapping[str, str]) -> str:
    """The program that was typed, with these settings in place of what was; for a shell."""
    return with_words([*_settings(settings)])


def another(command: str, words: Sequence[str] = ()) -> str:
    """Another command, in the form in which this one was typed; for a shell.

    Args:
        command: its name.
        words: what stands after it.
    """
    *program, last = _Typed.words[: _Typed.program]
    if last.endswith(".py"):
        command = f"{last.removesuffix(os.path.basename(last))}{command}.py"
    return for_shells([*program, command, *words])


def _settings(changes: Mapping[str, str | None]) -> Iterator[str]:
    for name, value in changes.items():
        if value is not None:
            from hydra.core.override_parser.types import Quote, QuotedString

            from fishcnn.commands.overrides import VERBATIM

            # Such is taken as it is, but for commas in a sweep and what looks quoted already.
            plain = _PLAIN.fullmatch(value) or (name in VERBATIM and not set(value) & set(",'\""))
            quoted = value if plain else QuotedString(value, Quote.single).with_quotes()
            yield f"{name}={quoted}"


def training_on(root: str | None, experiment: str) -> str:
    """The command that trains on the data as they were typed, for a shell.

    Args:
        root: the folder of the images, wherever one stands; None for data that have none.
        experiment: how to train.
    """
    words = [word for word in _Typed.words if word.startswith(("data.", "data="))]
    if root is not None:
        words = [word for word in words if not word.startswith("data.root=")]
        words.insert(0, f"data.root={root}")
    return another("train", [f"experiment={experiment}", *words])
