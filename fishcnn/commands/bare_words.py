"""A word on the command line without ``=``: a path to work on, or a slip.

Imported before Hydra answers ``--help``, so nothing heavy may be imported here.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from fishcnn.commands.known_settings import KnownSettings
from fishcnn.commands.overrides import quoted
from fishcnn.commands.settings import choices
from fishcnn.commands.slips import Reading, is_there, listed, nearest
from fishcnn.commands.typed_settings import Word
from fishcnn.utils.errors import typed
from fishcnn.utils.machine import user_path
from fishcnn.utils.run_folder import CHECKPOINTS, RunFolder

# Where a path goes that is typed without a name: that of a run, and that of images.
_RUN_SETTINGS = ("ckpt", "ckpt_path")
_IMAGE_SETTINGS = ("input", "data_root", "data.root")
_SEVERAL = "paths"  # a list of them
_LIKE_A_PATH = re.compile(r"-|[~./\\].*|.*[/\\*?].*|.*\.\w{2,5}", re.DOTALL)


def name_paths(words: Sequence[Word], known: KnownSettings) -> list[Word]:
    """Find the settings that paths without a name belong to.

    Args:
        words: of the command line, settings too; these stay as they are.
        known: the settings there are.
    """
    everything = known.everything()
    found: list[Word] = []
    paths: dict[str, list[str]] = {}
    for word in words:
        name, equals, _ = word.text.lstrip("+~").partition("=")
        is_setting = bool(equals) or (word.text.startswith(("+", "~")) and "/" not in word.text)
        if name.strip() not in everything and is_there(word.text):
            is_setting = False  # such as epoch=3.ckpt
        if word.reading or is_setting:
            found.append(word)
            continue
        reading = _read_bare_word(word.text, known)
        if reading.problem:
            found.append(Word(word.text, word.slip, reading))
            continue
        (setting,) = reading.words or [""]
        paths.setdefault(setting.partition("=")[0], []).append(word.text)
    for name, values in paths.items():
        beside = [one for one in found if one.text.partition("=")[0] == name]
        if name == _SEVERAL and not beside:
            found.append(Word(f"{name}=[{','.join(map(quoted, values))}]"))
        elif len(values) == 1 and not beside:
            found.append(Word(f"{name}={values[0]}"))
        else:
            found = [one for one in found if one not in beside]
            values = [*(one.text.partition("=")[2] for one in beside), *values]
            found.append(Word(name, None, _several_paths(name, values)))
    return found


def _read_bare_word(word: str, known: KnownSettings) -> Reading:
    """Take a path as what the command works on; say of another word what was probably meant."""
    if is_there(word):
        return _setting_of_path(word, known)
    everything = known.everything()
    if word in everything or word in known.groups:
        # Such as model.blocks, or model.
        value = everything.get(word, known.groups.get(word))
        value = not value if isinstance(value, bool) else value  # the default changes nothing
        return Reading(
            None, f"{word}: has no value; type {word}=VALUE, such as {word}={typed(value)}"
        )
    groups = [group for group in known.groups if word in choices(group)]
    if len(groups) == 1:
        return Reading([f"{groups[0]}={word}"], f"{word}: did you mean {groups[0]}={word}?")
    meant, _ = nearest(word, known) if not {"/", "\\"} & set(word) else ([], False)
    if meant and ("." not in word or word.partition(".")[0] in known.groups):
        return Reading(None, f"{word}: did you mean {listed(meant, 'or')}? type {meant[0]}=VALUE")
    if _LIKE_A_PATH.fullmatch(word):
        return _setting_of_path(word, known)
    if word == "help":
        return Reading(["--help"], "help: did you mean --help?")
    said = word or "an empty word"
    return Reading(None, f"{said}: no such file or folder; settings are typed as NAME=VALUE")


def _several_paths(name: str, words: Sequence[str]) -> Reading:
    """What to say of paths that would all be the value of one setting."""
    some = f"{words[0]} and {len(words) - 1} more" if len(words) > 2 else listed(words, "and")
    takes = f"{name}= takes one path"
    if name == _SEVERAL:
        takes = f"type paths alone, or all of them as '{name}=[a,b]'"
    if name == "input":
        takes = "input= takes one file, one folder, or a glob between quotes: 'input=photos/*.jpg'"
    return Reading(None, f"{some}: {takes}")


def _setting_of_path(word: str, known: KnownSettings) -> Reading:
    everything = known.everything()
    if _SEVERAL in everything:
        return Reading([f"{_SEVERAL}={word}"])
    of_run = [name for name in _RUN_SETTINGS if name in everything]
    # Of the data of a run that has moved it is the last that is meant.
    of_images = [name for name in _IMAGE_SETTINGS if name in everything]
    names = [*of_run, *of_images] if _is_of_run(word) else [*of_images, *of_run]
    if known.command == "demo" or not names:
        names = of_run
    if not names:
        return Reading(None, f"{word}: {known.command} takes no path; settings are NAME=VALUE")
    return Reading([f"{names[0]}={word}"])


def _is_of_run(word: str) -> bool:
    path = Path(word)
    if path.suffix == ".ckpt" or path.name == CHECKPOINTS:
        return True
    if is_there(word):
        run = RunFolder(user_path(word))
        return run.config.is_file() or run.checkpoints.is_dir()
    return path.parts[:1] == ("runs",)
