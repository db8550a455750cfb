"""Pages of ``templates/``: whatever is filled in is text and never markup."""

import math
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fishcnn.utils.text import markdown, markdown_code, percent
from fishcnn.utils.versions import versions


def render(template: str, **content: object) -> str:
    """Fill in a template of HTML or of Markdown, by its suffix.

    What it prints is escaped, but for what passes the filter ``safe``. The filters ``percent``, for
    a share in [0, 1], and ``number`` write a dash for None and for NaN; ``code`` makes code of
    Markdown, which is ``safe``.
    """
    html = template.endswith(".html")
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates"), encoding="utf-8"),
        autoescape=html,
        undefined=StrictUndefined,
        finalize=None if html else escape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not html,
    )
    templates.filters |= {"percent": percent, "number": _number, "code": markdown_code}
    return templates.get_template(template).render(content)


def render_page(template: str, **content: object) -> bytes:
    """Fill in a template of HTML as the bytes of a file; names of files need not be Unicode."""
    return render(template, **content).encode("utf-8", "backslashreplace")


def software() -> str:
    """What a page was made with."""
    found = versions()
    return ", ".join(f"{name} {found[name]}" for name in ("fishcnn", "torch", "python"))


def escape(value: object) -> str:
    """Escape a text for Markdown, in which it stands on one line and is nothing but itself."""
    if hasattr(value, "__html__"):  # the mark of the filter safe
        return str(value)
    return markdown(str(value))


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"
