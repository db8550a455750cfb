"""Paths, patterns and names on the command line as typed, which Hydra's grammar would take apart.

Imported before Hydra answers ``--help``, so nothing heavy may be imported here.
"""

from collections.abc import Sequence

from hydra.core.override_parser.types import Quote, QuotedString

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
    "input",
    "output",
    "runs",
    "target",
}


def quote_values(arguments: Sequence[str]) -> list[str]:
    """Quote the values of the settings that take a path, a pattern or a class, for Hydra.

    Unquoted, Hydra refuses ``~``, brackets, ``=`` and any letter beyond ASCII, and sweeps over a
    comma. Left alone are values that are quoted already, ``null``, and all values of a
    ``--multirun``, where a comma is meant to sweep.

    Args:
        arguments: the command line, without the program.

    Returns:
        The command line for Hydra.
    """
    if {"-m", "--multirun"} & set(arguments):
        return list(arguments)
    return [_quote(argument) for argument in arguments]


def _quote(argument: str) -> str:
    name, _, value = argument.partition("=")
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    if name not in _VERBATIM or value in ("", "null") or quoted:
        return argument
    return f"{name}={QuotedString(value, Quote.single).with_quotes()}"
