"""The command as it was typed, for messages that say what to type next."""

import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence

_PLAIN = re.compile(r"[\w./+:@%-]+", re.ASCII)


class _Typed:
    """Of this process."""

    words: Sequence[str] = ()
    program = 0  # how many of them are the program and its command


def remember(words: Sequence[str], program: int = 1) -> None:
    """Keep what was typed, from the program on, before anything is quoted for Hydra.

    Args:
        words: of the command line.
        program: how many of them are the program and the name of its command.
    """
    _Typed.words, _Typed.program = words, program


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
    return _for_a_shell([*words, *_settings(changes)])


def with_words(words: Sequence[str]) -> str:
    """The command that was typed, with other words after its name; for a shell."""
    return _for_a_shell([*_Typed.words[: _Typed.program], *words])


def instead(settings: Mapping[str, str]) -> str:
    """The program that was typed, with these settings in place of what was; for a shell."""
    return with_words([*_settings(settings)])


def _settings(changes: Mapping[str, str | None]) -> Iterator[str]:
    from hydra.core.override_parser.types import Quote, QuotedString  # heavy before signals count

    from fishcnn.commands.settings import FREE_TEXT

    for name, value in changes.items():
        if value is not None:
            # Free text is taken as it is, but for commas in a sweep and what looks quoted already.
            plain = _PLAIN.fullmatch(value) or (name in FREE_TEXT and not set(value) & set(",'\""))
            quoted = value if plain else QuotedString(value, Quote.single).with_quotes()
            yield f"{name}={quoted}"


def _for_a_shell(words: Sequence[str]) -> str:
    if words and words[0].endswith("__main__.py"):
        return shlex.join([sys.executable, "-m", "fishcnn", *words[1:]])
    python = [sys.executable] if words and words[0].endswith(".py") else []
    return shlex.join([*python, *words])


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
    return shlex.join(["python", "scripts/train.py", f"experiment={experiment}", *words])
