"""Pages of `templates/` that need no network: texts are escaped, images lie inside the file."""

import base64
import functools
import io
import math
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from PIL import Image

from fishcnn.plots.figure import DPI, figure_to_array

_JPEG_QUALITY = 82


def render(template: str, **content: Any) -> bytes:
    """Fill in a template.

    Args:
        template: name of a file in ``templates/``.
        content: its variables.

    Returns:
        UTF-8. Bytes of a file name that are not valid Unicode become escapes.
    """
    page = _templates().get_template(template).render(content)
    return page.encode("utf-8", "backslashreplace")


@functools.cache
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates"), encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["percent"] = _percent
    return templates


def _percent(share: float, digits: int = 1) -> str:
    """A share as a person reads it; a dash for NaN."""
    return "-" if math.isnan(share) else f"{share:.{digits}%}"


class InlineImage(NamedTuple):
    """An image for the ``src`` of an ``img``.

    Attributes:
        src: data URI.
        width: on the page, in pixels.
    """

    src: str
    width: int


def inline_chart(figure: Figure, *, dense: bool = False) -> InlineImage:
    """Draw a figure as PNG.

    Args:
        figure: as large as it needs to be.
        dense: show it pixel for pixel; otherwise at its size in inches, with 96 pixels each, at
            which its smallest letters are 8 pixels high on a dense screen.
    """
    image = Image.fromarray(figure_to_array(figure))
    return InlineImage(_data_uri(image, "PNG"), image.width if dense else image.width * 96 // DPI)


def inline_photo(image: Image.Image) -> str:
    """Encode an RGB image as the data URI of a JPEG."""
    return _data_uri(image, "JPEG", quality=_JPEG_QUALITY)


def _data_uri(image: Image.Image, kind: str, **options: int) -> str:
    file = io.BytesIO()
    image.save(file, kind, optimize=True, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
