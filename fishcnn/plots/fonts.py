"""Fonts that can draw the class names, whatever script they are written in."""

import functools
import logging
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from matplotlib import font_manager
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontEntry, FontProperties
from matplotlib.ft2font import FT2Font

_log = logging.getLogger(__name__)

BASE_FAMILY = "DejaVu Sans"  # comes with matplotlib, so figures look alike on every machine
_warned: set[str] = set()
_has_glyph: dict[tuple[str, int], dict[str, bool]] = {}  # by file and face


def label_fonts(labels: Iterable[str]) -> list[str]:
    """Choose font families that together can draw every label.

    Letters that no installed font has are logged as a warning, once per process.

    Returns:
        Family names for matplotlib's ``family``, the first one that has a glyph draws it. Always
        begins with DejaVu Sans, and is nothing but that for labels in Latin letters.
    """
    families, missing = _choose(frozenset().union(*labels))
    if missing and not _warned:
        _warned.update(missing)
        _log.warning(
            "No installed font can draw %s, so such letters appear as boxes. Install a font that "
            "can, for example: apt-get install fonts-noto-core fonts-noto-cjk",
            " ".join(f"{c} (U+{ord(c):04X})" for c in sorted(missing)[:3]),
        )
    return list(families)


@functools.lru_cache(maxsize=64)
def _choose(characters: frozenset[str]) -> tuple[list[str], set[str]]:
    """Take the font that covers most of what is missing, until nothing more can be covered."""
    drawn = {c for c in characters if unicodedata.category(c) not in {"Cc", "Cf", "Zs", "Zl", "Zp"}}
    missing = drawn - _covered(font_manager.findfont(BASE_FAMILY), 0, drawn)
    families = [BASE_FAMILY]
    if missing:
        _register_new_fonts()
    while missing:
        coverage = {
            font: _covered(font.fname, getattr(font, "index", 0), missing)
            for font in font_manager.fontManager.ttflist
            # Matplotlib's own last-resort font claims every character and draws boxes for them.
            if not font.name.startswith("Last Resort")
        }
        best = max(coverage, key=lambda font: (len(coverage[font]), *_taste(font)))
        if not coverage[best]:
            break
        families.append(best.name)
        missing = missing - coverage[best]
    return families, missing


def _taste(font: FontEntry) -> tuple[bool, bool, int, str]:
    """Sort key among fonts that cover the same characters: upright, without serifs, plain."""
    upright = font.style == "normal" and font.weight in {400, "normal", "regular"}
    # The name decides in the end: the order of the system's list differs from machine to machine.
    return upright, "Sans" in font.name and "Mono" not in font.name, -len(font.name), font.name


def _covered(path: str, face: int, characters: set[str]) -> set[str]:
    """Return those of the characters that a font has, opening it only for ones not asked before."""
    known = _has_glyph.setdefault((path, face), {})
    if unknown := characters - known.keys():
        try:
            # matplotlib 3.10 knows only the first face of a collection and has no face_index
            font = FT2Font(path, face_index=face) if face else FT2Font(path)
        except (OSError, RuntimeError):  # in matplotlib's list, but removed or damaged since
            known.update(dict.fromkeys(unknown, False))
        else:
            known.update({c: font.get_char_index(ord(c)) > 0 for c in unknown})
    return {c for c in characters if known[c]}


@functools.cache
def _register_new_fonts() -> None:
    """Tell matplotlib of fonts installed since it cached its list; it never looks again itself."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        try:
            font_manager.fontManager.addfont(path)
        except Exception as error:  # whatever is wrong with a font, as in FontManager itself
            _log.debug("Font %s cannot be used: %s", path, error)


@contextmanager
def missing_glyphs_allowed() -> Iterator[None]:
    """Silence matplotlib's warnings about glyphs, one per text and draw: `label_fonts` said it."""
    with warnings.catch_warnings():
        for message in (r"Glyph \d+ .*missing from", "Matplotlib currently does not support"):
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        yield


def text_width(text: str, size: float, families: Sequence[str], dpi: float) -> float:
    """Return the width in pixels of one line of text at a font size in points."""
    if not text:
        return 0.0
    with missing_glyphs_allowed():
        width, _, _ = _ruler(dpi).get_text_width_height_descent(  # type: ignore[no-untyped-call]
            text, FontProperties(family=families, size=size), ismath=False
        )
    return float(width)


@functools.lru_cache(maxsize=4)
def _ruler(dpi: float) -> RendererAgg:
    return RendererAgg(1, 1, dpi)  # type: ignore[no-untyped-call]


def shorten(text: str, width: float, size: float, families: Sequence[str], dpi: float) -> str:
    """Replace the middle of a text with an ellipsis until it fits.

    Both ends stay, since fish names differ in either: *Labeo rohita*, *Labeo catla*, *Catla catla*.

    Returns:
        The text itself where it fits into this width in pixels, else the longest shortening that
        does, at least "…"; line breaks and runs of white space become a single space.
    """
    text = " ".join(text.split())
    if text_width(text, size, families, dpi) <= width:
        return text
    fits, too_long = 0, len(text)  # characters kept
    while too_long - fits > 1:
        kept = (fits + too_long) // 2
        if text_width(_cut(text, kept), size, families, dpi) <= width:
            fits = kept
        else:
            too_long = kept
    return _cut(text, fits)


def _cut(text: str, kept: int) -> str:
    head, tail = text[: kept - kept // 2], text[len(text) - kept // 2 :]
    # A vowel sign or accent that lost its letter would be drawn on a dotted circle.
    while tail and unicodedata.category(tail[0])[0] == "M":
        tail = tail[1:]
    return f"{head.rstrip()}…{tail.lstrip()}"
