"""What values an argument or a setting may have, in one line each, and what to say of others."""

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real

from fishcnn.utils.errors import ArgumentError, typed

# Says what is wrong with a value and what is wanted instead; None if nothing is wrong.
Check = Callable[[object], str | None]


def whole(low: int, high: float = math.inf) -> Check:
    """A whole number from ``low`` to ``high``, both allowed."""
    return _number(Integral, "a whole number", low, high, above=False)


def number(low: float, high: float = math.inf, *, above: bool = False) -> Check:
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


def flag(value: object) -> str | None:
    """Whether something is done."""
    return None if isinstance(value, bool) else "must be true or false"


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
        if isinstance(value, Real) and isinstance(value, kind) and not isinstance(value, bool):
            given = float(value)
            if (low < given if above else low <= given) and given <= high:
                return None
        # A highest value that nobody reaches is left out.
        if high > 2**16:
            return f"must be {words}" + (f" above {low:g}" if above else f", {low:g} or more")
        return f"must be {words} {'above' if above else 'from'} {low:g} {'up ' * above}to {high:g}"

    return check
