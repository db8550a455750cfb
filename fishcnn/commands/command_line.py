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
    from hydra.core.override_parser.types import Quote, QuotedString  # heavy before signals count

    words = [word for word in _Typed.words if word.partition("=")[0] not in changes]
    if words and words[0].endswith(".py"):
        words.insert(0, sys.executable)
    for name, value in changes.items():
        if value is None:
            continue
        if not _PLAIN.fullmatch(value):
            value = QuotedString(value, Quote.single).with_quotes()
        words.append(f"{name}={value}")
    return shlex.join(words)


def training_on(root: str | None) -> str:
    """The command that trains on the data as they were typed, for a shell.

    Args:
        root: the folder of the images, wherever one stands; None for data that have none.
    """
    words = [word for word in _Typed.words if word.startswith(("data.", "data="))]
    if root is not None:
        words = [word for word in words if not word.startswith("data.root=")]
        words.insert(0, f"data.root={root}")
        if not any(word.startswith("data=") for word in words):
            words.insert(0, "data=folder")
    return shlex.join(["python", "scripts/train.py", "experiment=best", *words])
