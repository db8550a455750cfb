"""The command as it was typed, for messages that say what to type next."""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence

_PLAIN = re.compile(r"[\w./+:@%-]+", re.ASCII)


class _Typed:
    """Of this process."""

    words: Sequence[str] = ()


def remember(words: Sequence[str]) -> None:
    """Keep what was typed, from the program on, before anything is quoted for Hydra."""
    _Typed.words = words


def with_setting(name: str, value: str) -> str:
    """The command that was typed, with a setting added unless it is there, quoted for a shell."""
    if any(word.startswith(f"{name}=") for word in _Typed.words):
        return retyped({})
    return retyped({name: value})


def retyped(changes: Mapping[str, str | None]) -> str:
    """The command that was typed, with settings changed, or left out by None; for a shell."""
    return _joined([w for w in _Typed.words if w.partition("=")[0] not in changes], changes)


def instead(settings: Mapping[str, str]) -> str:
    """The program that was typed, with these settings in place of what was; for a shell."""
    program = 1 if _Typed.words and _Typed.words[0].endswith(".py") else 2  # or fishcnn COMMAND
    return _joined([*_Typed.words[:program]], settings)


def _joined(words: list[str], settings: Mapping[str, str | None]) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString  # heavy before signals count

    if words and words[0].endswith(".py"):
        words.insert(0, sys.executable)
    for name, value in settings.items():
        if value is None:
            continue
        if not _PLAIN.fullmatch(value):
            value = QuotedString(value, Quote.single).with_quotes()
        words.append(f"{name}={value}")
    return shlex.join(words)
