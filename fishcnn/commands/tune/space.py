"""What a search varies: the group ``search`` of the configuration, read and checked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fishcnn.commands.settings import choices, leaves, literal, plain
from fishcnn.utils.checks import flag, number
from fishcnn.utils.errors import FishError, typed

Value = bool | int | float | str | None
_ENDS = ("low", "high")
_LARGEST = 1e6
_WANTED = "type a list of values in brackets, or low= and high="
# Digits of a number that is drawn: more would only be longer to type.
_DIGITS = 4


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, both allowed.

    Attributes:
        name: of the setting.
        low, high: the ends; whole numbers where nothing else is drawn.
        log: whether the logarithms are spread evenly, not the numbers.
    """

    name: str
    low: float
    high: float
    log: bool

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.low, int)

    def as_set(self, value: Value) -> Value:
        """What the setting gets where this was drawn: no more digits than it takes."""
        return value if self.is_whole else self._within(float(f"{value:.{_DIGITS}g}"))

    def nearest(self, value: object) -> Value:
        """The drawable value that is closest to another one; None where that is no number."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        closest = self._within(value)
        return round(closest) if self.is_whole else float(closest)

    def _within(self, value: float) -> float:
        return min(max(value, self.low), self.high)

    def described(self) -> dict[str, Any]:
        """As it is written in ``conf/``."""
        return {"low": self.low, "high": self.high, "log": self.log}


@dataclass(frozen=True)
class Choice:
    """One of a few values, or of the choices of a group.

    Attributes:
        name: of the setting or the group.
        values: that can be drawn. Lists stand there as they are typed: a study keeps no lists.
        typed: whether the values are texts as typed, for lists.
    """

    name: str
    values: tuple[Value, ...]
    typed: bool = False

    def as_set(self, value: Value) -> Value:
        """What the setting gets where this was drawn."""
        return value

    def nearest(self, value: object) -> Value:
        """The value itself, as it is kept; None where it cannot be drawn."""
        kept = typed(value) if self.typed else value
        found = [one for one in self.values if type(one) is type(kept) and one == kept]
        return found[0] if found else None

    def described(self) -> list[Value]:
        """As it is written in ``conf/``."""
        return [*self.values]


Entry = Range | Choice


def read_space(config: DictConfig, groups: Mapping[str, Any]) -> list[Entry]:
    """Read what is varied, in the order of the configuration; nothing, maybe.

    Args:
        config: with the group ``search``.
        groups: what scripts/train.py takes by name, such as ``augment``.

    Raises:
        FishError: an entry cannot be varied, or names no setting; says what to do.
    """
    search = config.get("search")
    if search is None:
        return []
    if not isinstance(search, DictConfig):
        there = ", ".join(choices("search"))
        raise FishError(f"search={typed(search)}: choose one of {there}")
    return list(_entries(plain(search), "", config, groups))


def _entries(
    content: Mapping[str, Any], prefix: str, config: DictConfig, groups: Mapping[str, Any]
) -> Iterator[Entry]:
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, list):
            yield _choice(name, value, config, groups)
        elif isinstance(value, dict) and not value.keys().isdisjoint((*_ENDS, "log")):
            yield _range(name, value, config)
        elif isinstance(value, dict):  # empty where all that was in it is left out
            yield from _entries(value, f"{name}.", config, groups)
        else:
            raise FishError(f"search.{name}={typed(value)}: {_WANTED}")


def _range(name: str, content: Mapping[str, Any], config: DictConfig) -> Range:
    said = f"search.{name}"
    if others := content.keys() - {*_ENDS, "log"}:
        raise FishError(f"{said}.{min(others)}: choose from low, high and log")
    now = _current(name, config)
    check = number(-_LARGEST, _LARGEST)
    for end in _ENDS:
        if end not in content:
            raise FishError(f"{said} has no {end}: add {said}.{end}=")
        if problem := check(content[end]):
            raise FishError(f"{said}.{end}={typed(content[end])}: {problem}")
    low, high, log = content["low"], content["high"], content.get("log", False)
    if problem := flag(log):
        raise FishError(f"{said}.log={typed(log)}: {problem}")
    whole = all(float(end).is_integer() for end in (low, high))
    if isinstance(now, bool) or not isinstance(now, int | float | None):
        raise FishError(
            f"{said}.low={typed(low)}: {name} is no number; {_WANTED.partition(',')[0]}"
        )
    if type(now) is int and not whole:
        end = next(end for end in _ENDS if not float(content[end]).is_integer())
        raise FishError(f"{said}.{end}={typed(content[end])}: must be a whole number")
    if low >= high:
        raise FishError(f"{said}.low={typed(low)}: must be below {said}.high={typed(high)}")
    if log and low <= 0:
        raise FishError(
            f"{said}.low={typed(low)}: must be above 0, as {said}.log=true; raise it or choose "
            "log=false"
        )
    kind = int if whole and not isinstance(now, float) and type(low) is type(high) is int else float
    if type(now) is int:
        kind = int
    return Range(name, kind(low), kind(high), log)


def _choice(name: str, values: list[Any], config: DictConfig, groups: Mapping[str, Any]) -> Choice:
    said = f"search.{name}={typed(values)}"
    if len(values) < 2:
        advice = f"type {name}={typed(values[0])} and ~search.{name}" if values else _WANTED
        raise FishError(f"{said}: a choice needs two values or more; {advice}")
    if len({(type(one), typed(one)) for one in values}) < len(values):
        raise FishError(f"{said}: names a value twice")
    if any(isinstance(one, dict) for one in values):
        raise FishError(f"{said}: a group of settings is no value")
    if name in groups:
        if wrong := [one for one in values if one not in choices(name)]:
            there = ", ".join(choices(name))
            raise FishError(f"{said}: {name}={typed(wrong[0])} is not there; choose from {there}")
        return Choice(name, tuple(values))
    _current(name, config)
    lists = any(isinstance(one, list) for one in values)
    return Choice(name, tuple(map(typed, values)) if lists else tuple(values), typed=lists)


def _current(name: str, config: DictConfig) -> object:
    """What a setting is where it is not varied.

    Raises:
        FishError: there is no such setting, or it is a group of some.
    """
    group, _, key = name.rpartition(".")
    node = OmegaConf.select(config, group) if group else config
    ours = {key: value for key, value in config.items() if key not in ("search", "tune", "hydra")}
    there = [name for name, _ in leaves(ours) if not name.endswith(".name")]
    if not isinstance(node, DictConfig) or key not in node or name in ("search", "tune"):
        meant = get_close_matches(name, there, 1, 0.7)
        meant = meant or [one for one in there if one.rpartition(".")[2] == key][:1]
        chosen = OmegaConf.select(config, name.partition(".")[0])
        hint = f"; did you mean search.{meant[0]}?" if meant else ""
        if isinstance(chosen, DictConfig) and chosen.get("name"):
            hint = hint or f"; leave it out by ~search.{name}"
            hint = f" of {name.partition('.')[0]}={chosen.name}{hint}"
        raise FishError(f"search.{name}: there is no setting {name}{hint}")
    value = OmegaConf.select(config, name)
    if isinstance(value, DictConfig):
        inner = ", ".join(f"search.{name}.{one}" for one in [*map(str, value)][:3])
        raise FishError(f"search.{name}: {name} is a group of settings; vary one, {inner} say")
    return value


def with_value(config: DictConfig, name: str, value: object) -> DictConfig:
    """A copy of a configuration in which a setting, not a group, has another value."""
    changed = config.copy()
    OmegaConf.update(changed, name, literal(value), merge=False)
    return changed


def setting_of(entry: Entry, value: Value) -> str:
    """What is typed for scripts/train.py where a value was drawn."""
    return f"{entry.name}={typed(entry.as_set(value))}"
