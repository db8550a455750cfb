"""What values an argument or a setting may have, in one line each, and what to say of others."""

import os
from collections.abc import Callable, Mapping
from numbers import Integral, Real

from fishcnn.utils.errors import ArgumentError, typed

# Says what is wrong with a value and what is wanted instead; None if nothing is wrong.
Check = Callable[[object], str | None]
# More than anybody counts, and less than any library's integers hold.
_MANY = 2**31 - 1
# Beyond what single precision computes with, numbers would be lost on the way.
_LARGE = 1e6


def whole(low: int, high: int = _MANY) -> Check:
    """A whole number from ``low`` to ``high``, both allowed."""
    return _number(Integral, "a whole number", low, high, above=False)


def number(low: float, high: float = _LARGE, *, above: bool = False) -> Check:
    """A number from ``low`` to ``high``, both allowed; ``low`` itself is not if ``above``."""
    return _number(Real, "a number", low, high, above=above)


def choice(*values: object) -> Check:
    """One of a few values."""

    def check(value: object) -> str | None:
        # Python takes 1 for True.
        if any(type(value) is type(one) and value == one for one in values):
            return None
        return f"choose one of {', '.join(map(typed, values))}"

    return check


def optional(check: Check) -> Check:
    """None as well."""
    return lambda value: None if value is None else check(value)


def either(first: Check, *others: Check) -> Check:
    """What any of several checks lets through; the first one says what is wanted."""

    def check(value: object) -> str | None:
        return first(value) if all(one(value) for one in (first, *others)) else None

    return check


def several(check: Check, count: int | None = None) -> Check:
    """A list of ``count`` values, or of one or more, each of which is checked."""

    def check_all(values: object) -> str | None:
        if not isinstance(values, list | tuple):
            return "must be a list in brackets, with commas"
        if count is not None and len(values) != count:
            return f"must be a list of {count}"
        problems = map(check, values or [None])
        return next((problem for problem in problems if problem), None)

    return check_all


def flag(value: object) -> str | None:
    """Whether something is done."""
    return None if isinstance(value, bool) else "must be true or false"


def text(value: object) -> str | None:
    """Any text, such as a name."""
    if isinstance(value, str):
        return None
    if isinstance(value, bool | int | float):
        # Of a folder called 5, say, in a sweep, where values stand as Hydra reads them.
        return f"must be text; if it is a name, type it between quotes: '\"{typed(value)}\"'"
    return "must be text"


def path(value: object) -> str | None:
    """Where a file or a folder lies."""
    return None if isinstance(value, os.PathLike) else text(value)


def check_arguments(values: Mapping[str, object], wanted: Mapping[str, Check]) -> None:
    """Check arguments of the library by name; others than the wanted ones are passed over.

    Raises:
        ArgumentError: an argument has a value that it may not have.
    """
    for name, check in wanted.items():
        if problem := check(values[name]):
            raise ArgumentError(name, values[name], problem)


def _number(kind: type, words: str, low: float, high: float, *, above: bool) -> Check:
    def check(value: object) -> str | None:
        fits = isinstance(value, kind) and not isinstance(value, bool)
        # Not as floats: a whole number may be too large for one.
        if fits and (low < value if above else low <= value) and value <= high:  # type: ignore[operator]
            return None
        # A highest value that nobody reaches is left out, but for those who have passed it.
        if high > 2**16 and not (fits and value > high):  # type: ignore[operator]
            return f"must be {words}" + (f" above {low:g}" if above else f", {low:g} or more")
        most = str(high) if isinstance(high, int) else f"{high:g}"
        return f"must be {words} {'above' if above else 'from'} {low:g} {'up ' * above}to {most}"

    return check
