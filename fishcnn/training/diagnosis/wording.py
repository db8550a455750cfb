"""Overrides and numbers as people write them."""

MAX_SUGGESTIONS = 3


def first_applicable(*candidates: tuple[str, bool]) -> tuple[str, ...]:
    """The first overrides that apply."""
    return tuple(override for override, applies in candidates if applies)[:MAX_SUGGESTIONS]


def number(value: float) -> str:
    """Two digits at most, as people write step sizes: 3e-4, 1.5e-3, 0.05."""
    if value == 0 or value >= 0.01:
        return f"{value:.2g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def rounded(value: float) -> str:
    """One digit: nobody tries a learning rate of 3.3e-4."""
    return number(float(f"{value:.0e}"))


def percent(share: float) -> str:
    """A share of 0..1 as a percentage."""
    return "less than 0.1 %" if share < 1e-3 else f"{100 * share:.1f} %"
