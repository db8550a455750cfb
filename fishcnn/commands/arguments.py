"""The command line as people type it, read and checked before Hydra sees it.

Hydra's own answers to slips speak of its grammar, and some advise what would do harm: following
"use +data.root" one would train on drawn fish. Here every name is compared with those of ``conf/``.

Imported before Hydra answers ``--help``, so nothing heavy may be imported here.
"""

from collections.abc import Sequence
from difflib import get_close_matches

from fishcnn.commands import command_line
from fishcnn.commands.bare_words import name_paths
from fishcnn.commands.experiment_file import with_experiment_files
from fishcnn.commands.known_settings import KnownSettings
from fishcnn.commands.overrides import hydra_options, is_sweep, quote_values
from fishcnn.commands.slips import CLOSE, Reading, is_there, nearest
from fishcnn.commands.typed_settings import Settings, Word, with_earlier
from fishcnn.utils.errors import FishError

# With configurations of their own users know Hydra, and only Hydra knows what there is.
_OWN_CONFIGURATION = {"--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"}
_HELP = {"--help", "-h", "--hydra-help"}
_LONGEST_COMMAND = 200  # that is still read and copied from the terminal


def read_arguments(command: str, arguments: Sequence[str], before: Sequence[str] = ()) -> list[str]:
    """Say what Hydra is to be given.

    A path alone is taken as the images or the run that the command works on, and ``data.root`` as
    the wish for ``data=folder``. ``+`` before a setting that is there changes nothing.

    Args:
        command: its name.
        arguments: what stands after it on the command line.
        before: settings that hold where nothing else is typed, of a search that goes on.

    Returns:
        Options, then overrides, quoted.

    Raises:
        FishError: a name is not known, or cannot be used with what else was typed; says what was
            probably meant, and the whole command if that is clear.
    """
    if any(one.partition("=")[0] in _OWN_CONFIGURATION for one in arguments):
        return quote_values(arguments)
    known = KnownSettings(command)
    options, words = _split(arguments, known)
    named = name_paths(_with_blanks(words), known)
    if "experiment" in known.groups:
        named = with_experiment_files(named, known)
    named = with_earlier(before, named, known)
    settings = Settings(known, named, sweep=is_sweep(arguments))
    read = [settings.read(one) for one in named]
    problems = list(dict.fromkeys(one.problem for one in read if one.problem))
    if not problems:
        return quote_values([*options, *settings.implied, *_words(read)])
    if not _HELP.isdisjoint(arguments):
        return quote_values([*options, *_words([one for one in read if not one.problem])])
    if all(one.words is not None for one in read):
        meant = command_line.with_words(list(dict.fromkeys([*options, *_words(read)])))
        problems += [meant] * (len(meant) <= _LONGEST_COMMAND)
    raise FishError("\n".join(problems))


def _words(read: Sequence[Reading]) -> list[str]:
    return [word for one in read for word in one.words or ()]


def _split(arguments: Sequence[str], known: KnownSettings) -> tuple[list[str], list[Word]]:
    """Take options and all else apart; put together what blanks or dashes have made of settings."""
    options: list[str] = []
    words: list[Word] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        name, equals, _ = word.partition("=")
        if not word.startswith("-") or word == "-":
            words.append(_without_blanks(word, waiting, known))
        elif name not in hydra_options():
            words.append(_without_dashes(word, waiting, known))
        else:
            options.append(word)
            values = hydra_options()[name]
            may_follow = values is None or (values == "?" and "=" not in "".join(waiting[:1]))
            if waiting and not equals and may_follow:
                options.append(waiting.pop(0))
    return options, words


def _is_value(waiting: Sequence[str]) -> bool:
    if not waiting or "=" in waiting[0] or waiting[0] in hydra_options():
        return False
    return not waiting[0].startswith(("--", "+", "~"))


def _without_blanks(word: str, waiting: list[str], known: KnownSettings) -> Word:
    parts = [word]
    is_name = word in known.groups or word in known.everything()
    if is_name and _is_value(waiting) and waiting[0] != "=" and not is_there(word):
        value = waiting.pop(0)
        return Word(f"{word}={value}", f"{word} {value}: settings are typed as NAME=VALUE")
    if "=" not in word and waiting and waiting[0].startswith("="):
        parts.append(waiting.pop(0))
    if parts[-1].endswith("=") and _is_value(waiting):
        parts.append(waiting.pop(0))
    if len(parts) == 1:
        return Word(word)
    return Word("".join(parts), f"{' '.join(parts)}: settings are typed without blanks")


def _without_dashes(word: str, waiting: list[str], known: KnownSettings) -> Word:
    name, equals, value = word.lstrip("-").partition("=")
    if not equals and _is_value(waiting):
        equals, value = "=", waiting.pop(0)
        word = f"{word} {value}"
    like = get_close_matches(f"--{name}", hydra_options(), 1, CLOSE)
    if like and not nearest(name, known)[1]:
        return Word(word, None, Reading(like, f"{word}: no such option; did you mean {like[0]}?"))
    text = f"{name.replace('-', '_')}{equals}{value}"
    return Word(text, f"{word}: settings are typed without dashes")


def _with_blanks(words: Sequence[Word]) -> list[Word]:
    """Put together a path that a shell has taken apart at its blanks."""
    found: list[Word] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        bare = next((at for at, one in enumerate(rest) if "=" in one.text), len(rest))
        for end in range(bare, 0, -1):
            text = " ".join([word.text, *(one.text for one in rest[:end])])
            path = text.partition("=")[2] or text
            if is_there(path):
                problem = f"{path}: a path with a blank needs quotes"
                word = Word(text, None, Reading([text], problem))
                del rest[:end]
                break
        found.append(word)
    return found
