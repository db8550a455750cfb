"""Markdown files from templates, in which whatever is filled in is text and never markup."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#$~&])")


def render(template: str, **values: object) -> str:
    """Fill in a Jinja template of a Markdown file.

    Args:
        template: name of a file in ``templates/``. What it prints is escaped, but for what passes
            the filter ``safe``. The filters ``percent``, for a share in [0, 1], and ``number``
            write a dash for None.
        values: what the template calls by name.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates"), encoding="utf-8"),
        undefined=StrictUndefined,
        finalize=escape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": _percent, "number": _number}
    return environment.get_template(template).render(values)


def escape(value: object) -> str:
    """Escape a text, which then stands on one line and is nothing but itself."""
    if hasattr(value, "__html__"):  # the mark of the filter safe
        return str(value)
    return _MARKUP.sub(r"\\\1", " ".join(str(value).split()))


def _percent(share: float | None, digits: int = 0) -> str:
    return "-" if share is None else f"{share:.{digits}%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
