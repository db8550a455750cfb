"""Paths, patterns and names on the command line as typed, which Hydra's grammar would take apart.

Imported before Hydra answers ``--help``, so nothing heavy may be imported here.
"""

import os
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from fishcnn.commands.settings import CONF, FREE_TEXT
from fishcnn.utils.errors import FishError

VERBATIM = {*FREE_TEXT, "hydra.run.dir", "hydra.sweep.dir"}
# A function of Hydra such as glob(*) or choice(a,b).
_FUNCTION = re.compile(r"(choice|glob|interval|range|shuffle|sort)\(.*\)")
_QUOTED = re.compile(r"""'(\\.|[^'\\])*'|"(\\.|[^"\\])*\"""")
_OPENING, _CLOSING = "([{", ")]}"
_NO_NAME = re.compile(r"[-+.\d_e]*\d[-+.\d_e]*|true|false|nan|inf", re.IGNORECASE)
_NO_INTERPOLATION = re.compile(r"(\\*)\$\{(?!now:|oc\.\w+:|hydra[.:]|runs\})")


def quote_values(arguments: Sequence[str]) -> list[str]:
    """Quote the values of the settings that take a path, a pattern or a class, for Hydra.

    Unquoted, Hydra refuses ``~``, brackets, ``=`` and any letter beyond ASCII, and sweeps over a
    comma. Left alone are values that are quoted already and ``null``. ``${`` belongs to the name,
    unless what follows is of Hydra's own: ``${now:...}``, ``${oc.env:...}``, ``${hydra...}`` or
    ``${runs}``.

    In a ``--multirun``, a comma separates what to sweep over, and each part is quoted by itself.
    Commas within quotes or brackets separate nothing (``^a{1,3}``, ``*.{jpg,png}``), nor do those
    in the name of a file or a folder that exists; functions of Hydra such as ``glob(*)`` stay.

    Values of other settings are quoted only where Hydra cannot read them, so that the command says
    what it wants instead. Hydra wants all overrides in one place, so what else it is given comes
    first.

    Args:
        arguments: the command line, without the program.

    Returns:
        The command line for Hydra, as long as the other one.
    """
    sweep = is_sweep(arguments)
    options, overrides = [], []
    for before, argument in zip([None, *arguments], arguments, strict=False):
        if is_override(argument) and (before is None or hydra_options().get(before, 0) is not None):
            overrides.append(_quote(argument, sweep=sweep))
        else:
            options.append(argument)
    return [*options, *overrides]


def is_override(argument: str) -> bool:
    """Whether Hydra reads a word as an override, and not as an option or the value of one."""
    # "~model.blocks" removes a setting, and "+ckpt" cannot be: that would be a group.
    return not argument.startswith("-") and ("=" in argument or argument[:1] in "~+")


def options_and_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options of Hydra, which come first, and the overrides behind them."""
    begin = len(arguments)
    while begin and is_override(arguments[begin - 1]):
        begin -= 1
    return [*arguments[:begin]], [*arguments[begin:]]


def is_sweep(arguments: Sequence[str]) -> bool:
    """Whether Hydra is to run all combinations of the settings that have several values."""
    return not {"-m", "--multirun"}.isdisjoint(arguments)


@cache
def hydra_options() -> dict[str, str | int | None]:
    """The options of Hydra: 0 if no value follows, "?" if one may, and None if one does."""
    return {name: action.nargs for name, action in get_args_parser()._option_string_actions.items()}


def parsed(argument: str) -> Override | None:
    """What Hydra makes of an override; None where it cannot read it."""
    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException:
        return None


def parts(value: str) -> list[str]:
    """What a value with commas is made of, in a sweep (:func:`quote_values`)."""
    pieces = list(_between_commas(value))
    found, start = [], 0
    while start < len(pieces):
        # The longest name first: "a,b" may exist beside "a".
        names = [",".join(pieces[start:end]).strip() for end in range(len(pieces), start, -1)]
        there = (at for at, name in enumerate(names) if os.path.exists(os.path.expanduser(name)))
        at = next(there, len(names) - 1)
        found.append(names[at])
        start = len(pieces) - at
    return found


def _between_commas(value: str) -> Iterator[str]:
    begin = place = depth = 0
    balanced = sum(map(value.count, _OPENING)) == sum(map(value.count, _CLOSING))
    while place < len(value):
        letter = value[place]
        if place == begin and (quoted := _QUOTED.match(value, place)):
            place = quoted.end()
            continue
        depth += balanced * ((letter in _OPENING) - (letter in _CLOSING))
        if letter == "," and depth <= 0:
            yield value[begin:place]
            begin = place + 1
        place += 1
    yield value[begin:]


def _choice_of_group(name: str, value: str) -> str:
    """Hydra knows how to leave a group out, and which choices there are, if it is asked rightly."""
    if value in ("", "null"):
        return f"~{name}"
    return f"{name}='{value}'" if _NO_NAME.fullmatch(value) else f"{name}={value}"


def check_places(arguments: Sequence[str], *, writes_runs: bool) -> None:
    """Check that Hydra can cope with the folders that it is to work in.

    Args:
        arguments: the command line, without the program.
        writes_runs: whether the command has Hydra make a folder below the one it is started in.

    Raises:
        FishError: it takes a part of the name of one for an interpolation.
    """
    here = str(Path.cwd())
    typed = dict(argument.partition("=")[::2] for argument in arguments)
    folder = typed.get("hydra.run.dir", typed.get("hydra.sweep.dir", typed.get("runs", "runs")))
    where = here if not writes_runs else os.path.join(here, folder.strip("'\""))
    cut_short = where.rfind("${") > where.rfind("}")
    if _NO_INTERPOLATION.search(where) and (writes_runs or cut_short):
        advice = "name one by hydra.run.dir=/path" if writes_runs else "go to another folder"
        raise FishError(f"{where}: Hydra cannot work in a folder with ${{ in its name; {advice}")


def _quote(argument: str, *, sweep: bool) -> str:
    name, _, value = argument.partition("=")
    if name and "=" in argument and (CONF / name).is_dir():
        return _choice_of_group(name, value)
    if name.lstrip("+") not in VERBATIM:
        no_name = not re.fullmatch(r"[~+]*[\w./@-]+", name, re.ASCII)
        return argument if no_name or parsed(argument) else f"{name}={quoted(value)}"
    if not sweep:
        return f"{name}={quoted(value)}"
    return (
        argument if _FUNCTION.fullmatch(value) else f"{name}={','.join(map(quoted, parts(value)))}"
    )


def quoted(value: str) -> str:
    """A value that Hydra takes as it was typed; what is quoted already, and null, stay."""
    if value in ("", "null") or _QUOTED.fullmatch(value):
        return value
    if value == "???":  # of which OmegaConf thinks that it is still to be chosen
        value = "./???"
    # As commands.settings.literal, which is not for what Hydra is to fill in.
    value = _NO_INTERPOLATION.sub(lambda found: f"{found[1] * 2}\\${{", value)
    return str(QuotedString(value, Quote.single).with_quotes())
