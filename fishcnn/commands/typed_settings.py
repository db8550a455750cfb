"""Each ``NAME=VALUE`` of a command line, compared with the settings there are.

Imported before Hydra answers ``--help``, so nothing heavy may be imported here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from hydra.conf import HydraConf
from hydra.core.override_parser.types import ChoiceSweep, QuotedString

from fishcnn.commands.known_settings import (
    Choices,
    KnownSettings,
    commands_with,
    settings_of,
)
from fishcnn.commands.launched import missing_package
from fishcnn.commands.overrides import parsed
from fishcnn.commands.settings import CONF, FREE_TEXT, choices
from fishcnn.commands.slips import CLOSE, Reading, choices_with, listed, nearest, wrong_choice

# A setting that says which choice of its group is meant, though others have it as well.
_IMPLIES = {"data.root": ("data", "folder")}
# Hydra takes these names for groups, in any command.
_FOLDERS = {folder.name for folder in CONF.iterdir() if folder.is_dir()}
_SEARCH = "search"  # the group of what is varied
_VARIED = "type a list of values in brackets, or .low= and .high="
_SETTING = re.compile(r"(~|\+{0,2})([^=]*?)\s*(?:=(.*))?", re.DOTALL)


class Word(NamedTuple):
    """A setting or a path.

    Attributes:
        text: as it should have been typed.
        slip: what is wrong about the way it was typed, or None.
        reading: what it is, if that is known already.
    """

    text: str
    slip: str | None = None
    reading: Reading | None = None

    @property
    def name(self) -> str:
        """Of the setting, without signs."""
        return self.text.lstrip("+~").partition("=")[0].strip()


def with_earlier(before: Sequence[str], now: Sequence[Word], known: KnownSettings) -> list[Word]:
    """Put what was set before, in a file say, in front of what is typed now, which wins.

    Of a group of which another choice is typed, or follows from what is, only that is left which
    this choice has as well, and no paths: they are of what was chosen before.

    Args:
        before: settings as they are typed.
        now: of the command line.
        known: the settings there are.
    """
    earlier = [Word(text) for text in before]
    names = {word.name for word in now}
    own, chosen = _chosen(earlier, known), _chosen(now, known)
    chosen |= _implied(now, chosen, known, own)
    was = known.chosen(own)
    other = {group: one for group, one in chosen.items() if one != was[group]}

    def stands(word: Word) -> bool:
        group = word.name.partition(".")[0]
        if word.name in names or word.name in other:
            return False
        if group not in other:
            return True
        # None of its choices, where what is typed is none that there is.
        has = [word.name in settings_of(group, choice) for choice in other[group]]
        return bool(has) and all(has) and word.name not in FREE_TEXT

    return [*filter(stands, earlier), *now]


class Settings:
    """The settings of a command line, seen together.

    Attributes:
        implied: choices of groups that are not typed, but follow from what is.
    """

    def __init__(self, known: KnownSettings, words: Sequence[Word], *, sweep: bool) -> None:
        self._known, self._sweep = known, sweep
        self._chosen = _chosen(words, known)
        # The choices of a run that goes on are its own, which only the command can read.
        self._continues = any(w.name == "ckpt_path" and w.text[:1] != "~" for w in words)
        implied = {} if self._continues else _implied(words, self._chosen, known, {})
        self._chosen |= implied
        self.implied = [f"{group}={one}" for group, (one,) in implied.items()]
        self._current = known.current(self._chosen)

    def read(self, word: Word) -> Reading:
        """Say what a word is, or what is wrong with it."""
        reading = word.reading or self._read_setting(word.text)
        if not word.slip:
            return reading
        if reading.words is None:
            return Reading(None, f"{word.slip}; {reading.problem}")
        return Reading(reading.words, f"{word.slip}: {' '.join(reading.words)}")

    def _read_setting(self, text: str) -> Reading:
        matched = _SETTING.fullmatch(text)
        assert matched is not None  # it matches anything
        sign, name, value = matched.groups()
        if re.match(r"hydra([./]|$)", name):
            return self._read_hydras(name, text)
        if name in self._known.groups:
            return self._read_choice(sign, name, value)
        if name.startswith(f"{_SEARCH}.") and _SEARCH in self._known.groups and sign != "~":
            if value is None:
                return Reading(None, f"{name}: has no value; {_VARIED}")
            # Any setting can be varied, which the command checks: a new entry, or another one.
            if name not in self._current:
                return Reading([f"++{name}={value}"])
            if any(one.startswith(f"{name}.") for one in self._current) and value[:1] != "{":
                # A list in place of low and high, which Hydra would refuse.
                return Reading([f"~{name}", f"++{name}={value}"])
            return Reading([f"{name}={value}"])
        if name in self._current:
            return self._read_value(sign, name, value)
        if sign == "~":
            return Reading([], f"{text}: there is no such setting to leave out")
        if sign and self._known.takes_more(name) and not nearest(name, self._known)[1]:
            return Reading([text])
        if self._known.having(name):
            if self._continues and name.partition(".")[0] not in self._chosen:
                return Reading([f"{name}={value}"])
            return self._of_another_choice(name, value)
        return self._unknown(name, value)

    def _read_hydras(self, name: str, text: str) -> Reading:
        if name == "hydra/launcher":
            return self._read_launcher(text)
        first, *more = name.split(".")[1:] or [""]
        there = list(HydraConf.__dataclass_fields__)
        if first in ("", *there):
            return Reading([text])
        hint = "; hydra.run.dir=PATH puts a run elsewhere"
        if like := get_close_matches(f"hydra.{first}", [f"hydra.{one}" for one in there], 1, CLOSE):
            hint = f"; did you mean {'.'.join([*like, *more])}?"
        return Reading(None, f"{name}: Hydra has no such setting{hint}")

    def _read_launcher(self, text: str) -> Reading:
        name = text.partition("=")[2]
        if package := missing_package(name):
            how = 'pip install -e ".[cluster]"'
            return Reading(None, f"{text} needs {package}, which is not installed: {how}")
        if name != "basic" and not self._sweep:
            return Reading(
                ["-m", text], f"{text}: add -m, as jobs are sent elsewhere only by a sweep"
            )
        return Reading([text])

    def _read_choice(self, sign: str, group: str, value: str | None) -> Reading:
        if value in (None, "", "null") or sign == "~":
            return Reading([f"{sign}{group}" if value is None else f"{group}={value}"])
        assert value is not None
        values = _values(group, value)
        for one in values:
            if one not in choices(group):
                wrong = wrong_choice(group, one, self._known)
                return wrong if len(values) == 1 else Reading(None, wrong.problem)
        return self._swept(f"{group}={value}", several=len(values) > 1)

    def _read_value(self, sign: str, name: str, value: str | None) -> Reading:
        if sign == "~":
            return Reading([f"~{name}" if value is None else f"~{name}={value}"])
        if value is None:
            return Reading(None, f"{name}: has no value; type {name}=VALUE")
        setting = f"{name}={value}"
        if name in FREE_TEXT:
            return Reading([setting])
        override = parsed(setting)
        if inner := [one for one in self._current if one.startswith(f"{name}.")]:
            content = override.value() if override and name not in _FOLDERS else None
            return self._read_node(setting, content, sorted(inner))
        several = bool(override and override.is_sweep_override())
        if several and isinstance(self._known.everything().get(name), list):
            meant = f"{name}=[{value}]"
            return Reading([meant], f"{setting}: a list is typed in brackets: {meant}")
        return self._swept(setting, several=several)

    def _read_node(self, setting: str, content: object, inner: Sequence[str]) -> Reading:
        name, _, value = setting.partition("=")
        if isinstance(content, Mapping):
            wrong = (one for one in _inner_names(name, content) if one not in inner)
            return next((self._unknown(one, None) for one in wrong), Reading([setting]))
        said = f"{setting}: {name} is a group of settings"
        if f"{name}.enabled" in inner and value in ("true", "false"):
            meant = f"{name}.enabled={value}"
            return Reading([meant], f"{said}; did you mean {meant}?")
        return Reading(None, f"{said}: {listed(inner, 'and')}")

    def _swept(self, setting: str, *, several: bool) -> Reading:
        if not several or self._sweep:
            return Reading([setting])
        problem = f"{setting}: add -m to try one value after another"
        name, _, value = setting.partition("=")
        is_number = isinstance(self._known.everything().get(name), float)
        if is_number and re.fullmatch(r"\d+,\d+", value):
            problem += f"; a single number is typed with a point: {value.replace(',', '.')}"
        return Reading(["-m", setting], problem)

    def _of_another_choice(self, name: str, value: str | None) -> Reading:
        group = name.partition(".")[0]
        has_it = choices_with(name, value, self._known)
        if name in _IMPLIES:
            has_it = ["=".join(_IMPLIES[name])]
        belongs = f"{name} belongs to {listed(has_it, 'or')}"
        if (chosen := self._chosen.get(group)) is not None:
            other = f", not to {group}={', '.join(chosen)}" if chosen else ""  # none that there is
            return Reading(None, belongs + other)
        if len(has_it) > 1:
            return Reading(None, f"{belongs}; add one of them")
        return Reading([has_it[0], f"{name}={value}"], f"{belongs}; add {has_it[0]}")

    def _unknown(self, name: str, value: str | None) -> Reading:
        meant, sure = nearest(name, self._known)
        command = self._known.command
        if not sure and (others := commands_with(name)):
            only = listed(others, "and")
            return Reading(None, f"{name}: {command} has no such setting, only {only}")
        said = f"{name or '='}: no such setting"
        if meant:
            said += f"; did you mean {listed(meant, 'or')}?"
        if self._known.takes_more(name) and not (sure or get_close_matches(name, meant, 1, 0.9)):
            more = f"argument that is not in conf/ is added by +{name}={value}"
            return Reading(None, f"{said} An {more}" if meant else f"{said}; an {more}")
        if not meant:
            return Reading(None, f"{said}; --help lists those there are")
        # "resume=true" is no path.
        no_text = meant[0] in FREE_TEXT and value in ("true", "false")
        if value is None or no_text or len(meant) > 1:
            return Reading(None, said)
        setting = f"{meant[0]}={value}"
        if meant[0] in _IMPLIES:
            return Reading([setting], said)
        again = self._read_setting(setting)
        return Reading(again.words, " ".join(filter(None, (said, again.problem))))


def _chosen(words: Sequence[Word], known: KnownSettings) -> dict[str, list[str]]:
    """The choices of groups among words; what is typed last counts, as for Hydra."""
    return {
        word.name: [
            one
            for one in _values(word.name, word.text.partition("=")[2])
            if one in choices(word.name)
        ]
        for word in words
        if word.name in known.groups and not word.reading and word.text[:1] != "~"
    }


def _implied(
    words: Sequence[Word], chosen: Choices, known: KnownSettings, own: Choices
) -> dict[str, list[str]]:
    """The choices that are not typed, but follow from what is.

    Args:
        words: that are typed.
        chosen: those that are typed, by group.
        known: the settings there are.
        own: the choices that hold where none is typed.
    """
    names = {word.name for word in words if word.text[:1] != "~"}
    return {
        group: [choice]
        for name, (group, choice) in _IMPLIES.items()
        if name in names and group in known.groups and group not in chosen
        if name not in known.current({**own, **chosen})
    }


def _values(group: str, value: str) -> list[str]:
    """The choices that are typed for a group, one or those of a sweep."""
    override = parsed(f"{group}={value}")
    swept = override.value() if override else None
    if not isinstance(swept, ChoiceSweep):
        return [value.strip("'\"")]
    return [one.text if isinstance(one, QuotedString) else str(one) for one in swept.list]


def _inner_names(name: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield f"{name}.{key}"
            yield from _inner_names(f"{name}.{key}", inner)
