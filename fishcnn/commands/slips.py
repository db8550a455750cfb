"""What was probably meant by a name that is not a setting, derived from the settings there are."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher, get_close_matches
from typing import NamedTuple

from fishcnn.commands.known_settings import KnownSettings, settings_of
from fishcnn.commands.settings import choices
from fishcnn.utils.errors import FishError
from fishcnn.utils.machine import user_path

# Last parts of names that mean the same, here or in other programs; the first that a command has is
# the one that is meant.
_SYNONYMS = (
    ("input", "data_root", "root", "path", "dir", "folder", "images", "image_dir", "source"),
    ("ckpt", "ckpt_path", "checkpoint", "weights", "resume"),
    ("max_epochs", "epochs", "num_epochs"),
    ("lr", "learning_rate"),
    ("batch_size", "bs", "batch"),
    ("image_size", "img_size", "imgsz"),
    ("weight_decay", "wd"),
    ("val_fraction", "val_split", "val_size"),
    ("output", "out", "output_dir", "save_dir"),
)
CLOSE = 0.7  # of difflib: one wrong letter in three


class Reading(NamedTuple):
    """What became of a word of the command line.

    Attributes:
        words: the settings that it is, or that were probably meant; None where that is not clear.
        problem: what is wrong with it, or None.
    """

    words: list[str] | None
    problem: str | None = None


def nearest(name: str, known: KnownSettings) -> tuple[list[str], bool]:
    """The settings or groups that a name stands for most probably.

    The last part of the name may be enough (``lr``), or a synonym of it; what comes before it may
    be wrong (``trainer.epochs``), and so may some letters. Several are found where they share
    their last part (``patience``).

    Args:
        name: is none of them.
        known: the settings there are.

    Returns:
        The settings, and whether their last part is as typed, or a synonym.
    """
    # Nobody who mistypes a name means the name of a choice.
    names = [one for one in known.everything() if not one.endswith(".name")]
    lowered = name.lower().replace("-", "_")
    last = lowered.rpartition(".")[2]
    by_last: dict[str, list[str]] = {}
    for one in names:
        above, _, end = one.rpartition(".")
        by_last.setdefault(above.rpartition(".")[2] if end == "enabled" else end, []).append(one)
    for words in _SYNONYMS:
        if meant := next((by_last[word] for word in words if word in by_last), None):
            by_last |= {word: meant for word in words if word not in by_last}
    if found := by_last.get(last):
        return (get_close_matches(lowered, found, 1, 0) if "." in name else found), True
    whole = get_close_matches(lowered, names if "." in name else [*names, *known.groups], 1, CLOSE)
    if whole and _alike(last, whole[0].rpartition(".")[2]):
        return whole, False
    like = get_close_matches(last, by_last, 1, CLOSE)
    return (by_last[like[0]] if like else []), False


def wrong_choice(group: str, choice: str, known: KnownSettings) -> Reading:
    """What to say of a choice that a group does not have."""
    there = choices(group)
    said = f"{group}={choice}"
    name, _, value = choice.partition("=")
    if value and f"{group}.{name}" in known.everything():  # as in model=blocks=3
        return Reading([f"{group}.{choice}"], f"{said}: did you mean {group}.{choice}?")
    if meant := get_close_matches(choice.lower(), there, 1, CLOSE):
        words = [f"{group}={meant[0]}"]
        return Reading(words, f"{said}: no such choice; did you mean {words[0]}?")
    path = is_there(choice) or not {"/", "\\"}.isdisjoint(choice)
    if path and f"{group}.root" in known.everything():
        return Reading([f"{group}.root={choice}"], f"{said}: did you mean {group}.root={choice}?")
    problem = f"{said}: choose one of {', '.join(there)}"
    key = f"{group}.architecture"
    libraries = choices_with(key, choice, known)
    if not libraries or not re.fullmatch(r"[\w.-]+", choice):
        return Reading(None, problem)
    words = [libraries[0], f"{key}={choice}"]
    problem += f"; a network of a library is typed as {listed(libraries, 'or')} {key}={choice}"
    return Reading(words if len(libraries) == 1 else None, problem)


def is_there(word: str) -> bool:
    """Whether a word is the path of something that exists."""
    try:
        return bool(word) and user_path(word).exists()
    except (FishError, OSError, ValueError):
        return False


def _alike(one: str, other: str) -> bool:
    return SequenceMatcher(None, one, other).ratio() > 0.6


def choices_with(name: str, value: str | None, known: KnownSettings) -> list[str]:
    """The choices that have a setting, as typed; the one alone that has it with this value."""
    group = name.partition(".")[0]
    having = known.having(name)
    same = [one for one in having if value and settings_of(*one).get(name) == value]
    return [f"{group}={choice}" for _, choice in (same if len(same) == 1 else having)]


def listed(names: Sequence[str], last: str) -> str:
    """Names in a sentence: ``a, b or c``."""
    return f" {last} ".join(filter(None, (", ".join(names[:-1]), names[-1])))
