"""Paths, patterns and names on the command line as typed, which Hydra's grammar would take apart.

Imported before Hydra answers ``--help``, so nothing heavy may be imported here.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString

from fishcnn.commands.settings import CONF
from fishcnn.utils.errors import FishError

# Settings of any script whose value is a path, a regular expression or the name of a class.
_VERBATIM = {
    "against",
    "ckpt",
    "ckpt_path",
    "data.cache_root",
    "data.group_regex",
    "data.masks_root",
    "data.root",
    "data_root",
    "hydra.run.dir",
    "hydra.sweep.dir",
    "input",
    "output",
    "runs",
    "target",
}
# Options of Hydra that stand before their value.
_TAKE_A_VALUE = {
    *("-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name"),
    *("-cd", "--config-dir", "--experimental-rerun"),
}
# A comma, or a function of Hydra such as glob(*) or choice(a,b).
_SWEEPS = re.compile(r",|^\w+\(.*\)$")
_NO_NAME = re.compile(r"[-+.\d_e]*\d[-+.\d_e]*|true|false|nan|inf", re.IGNORECASE)
_NO_INTERPOLATION = re.compile(r"(\\*)\$\{(?!now:|oc\.\w+:|hydra[.:]|runs\})")


def quote_values(arguments: Sequence[str]) -> list[str]:
    """Quote the values of the settings that take a path, a pattern or a class, for Hydra.

    Unquoted, Hydra refuses ``~``, brackets, ``=`` and any letter beyond ASCII, and sweeps over a
    comma. Left alone are values that are quoted already, ``null``, and, in a ``--multirun``, those
    that are meant to sweep. ``${`` belongs to the name, unless what follows is of Hydra's own:
    ``${now:...}``, ``${oc.env:...}``, ``${hydra...}`` or ``${runs}``.

    Hydra wants all overrides in one place, so what else it is given comes first.

    Args:
        arguments: the command line, without the program.

    Returns:
        The command line for Hydra, as long as the other one.
    """
    sweep = not {"-m", "--multirun"}.isdisjoint(arguments)
    options, overrides = [], []
    for before, argument in zip([None, *arguments], arguments, strict=False):
        # "~model.blocks" removes a setting, and "+ckpt" cannot be: that would be a group.
        is_override = not argument.startswith("-") and ("=" in argument or argument[:1] in "~+")
        if is_override and before not in _TAKE_A_VALUE:
            overrides.append(_quote(argument, sweep=sweep))
        else:
            options.append(argument)
    return [*options, *overrides]


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
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    if name.lstrip("+") not in _VERBATIM or value in ("", "null") or quoted:
        return argument
    if sweep and _SWEEPS.search(value):
        return argument
    if value == "???":  # of which OmegaConf thinks that it is still to be chosen
        value = "./???"
    # As commands.settings.literal, which is not for what Hydra is to fill in.
    value = _NO_INTERPOLATION.sub(lambda found: f"{found[1] * 2}\\${{", value)
    return f"{name}={QuotedString(value, Quote.single).with_quotes()}"
