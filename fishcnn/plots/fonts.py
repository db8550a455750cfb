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
_FIRST_UNSURE = "\u0250"  # DejaVu Sans has everything below: the end of Latin Extended-B
_CJK = {"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH"}
_warned_scripts: set[str] = set()
_has_glyph: dict[tuple[str, int], dict[str, bool]] = {}  # by file and face


def label_fonts(labels: Iterable[str], fonts: Sequence[FontEntry] | None = None) -> list[str]:
    """Choose font families that together can draw every label.

    A script that no font covers is logged as a warning, once per process, with the font to install.

    Args:
        labels: The texts that will be drawn.
        fonts: The fonts to choose from; by default every font on this machine.

    Returns:
        Family names for matplotlib's ``family``, the first one that has a glyph draws it. Always
        begins with DejaVu Sans, and is nothing but that for labels in Latin letters.
    """
    characters = frozenset().union(*labels)
    if max(characters, default="") < _FIRST_UNSURE:
        return [BASE_FAMILY]
    if fonts is None:
        families, missing = _choose_installed(characters)
    else:
        families, missing = _choose(characters, fonts)
    for character in sorted(missing):
        _warn_once(character)
    return list(families)


@functools.lru_cache(maxsize=64)
def _choose_installed(characters: frozenset[str]) -> tuple[list[str], set[str]]:
    families, missing = _choose(characters, font_manager.fontManager.ttflist)
    if missing and _register_new_fonts():
        families, missing = _choose(characters, font_manager.fontManager.ttflist)
    return families, missing


def _choose(characters: frozenset[str], fonts: Sequence[FontEntry]) -> tuple[list[str], set[str]]:
    """Take the font that covers most of what is missing, until nothing more can be covered."""
    drawn = {c for c in characters if unicodedata.category(c) not in {"Cc", "Cf", "Zs", "Zl", "Zp"}}
    missing = drawn - _covered(font_manager.findfont(BASE_FAMILY), 0, drawn)
    families = [BASE_FAMILY]
    # Matplotlib's own last-resort font claims every character and draws boxes for all of them.
    usable = [font for font in fonts if not font.name.startswith("Last Resort")] if missing else []
    coverage = {font: _covered(font.fname, getattr(font, "index", 0), missing) for font in usable}
    region = _cjk_region(characters)
    while gains := {font: len(covered & missing) for font, covered in coverage.items()}:
        best = max(gains, key=lambda font: (gains[font], _taste(font, region)))
        if not gains[best]:
            break
        families.append(best.name)
        missing = missing - coverage[best]
    return families, missing


def _covered(path: str, index: int, characters: set[str]) -> set[str]:
    """Return those of the characters that a font has, opening it only for ones not asked before."""
    known = _has_glyph.setdefault((path, index), {})
    if unknown := characters - known.keys():
        try:
            # matplotlib 3.10 knows only the first face of a collection and has no face_index
            font = FT2Font(path, face_index=index) if index else FT2Font(path)
        except (OSError, RuntimeError):  # in matplotlib's list, but removed or damaged since
            known.update(dict.fromkeys(unknown, False))
        else:
            known.update({c: font.get_char_index(ord(c)) > 0 for c in unknown})
    return {c for c in characters if known[c]}


def _taste(font: FontEntry, cjk_region: str) -> tuple[bool, bool, bool, bool, int, str]:
    """Sort key among fonts that cover the same characters: plain, upright, without serifs."""
    return (
        font.style == "normal" and font.stretch == "normal",
        font.weight in {400, "normal", "regular"},
        "Sans" in font.name and "Mono" not in font.name,
        font.name.endswith(cjk_region),
        -len(font.name),
        font.name,  # the order of the system's font list differs from machine to machine
    )


def _cjk_region(characters: frozenset[str]) -> str:
    """Pick the national shapes that Han characters, which share code points, are drawn in."""
    if any("\u3040" <= c <= "\u30ff" for c in characters):
        return " JP"
    if any("\uac00" <= c <= "\ud7af" for c in characters):
        return " KR"
    return " SC"


@functools.cache
def _register_new_fonts() -> bool:
    """Tell matplotlib of fonts installed since it cached its list; it never looks again itself."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    new = sorted(set(font_manager.findSystemFonts()) - known)
    for path in new:
        try:
            font_manager.fontManager.addfont(path)
        except Exception as error:  # whatever is wrong with a font, as in FontManager itself
            _log.debug("Font %s cannot be used: %s", path, error)
    return bool(new)


def _warn_once(character: str) -> None:
    # "BENGALI LETTER KA", but a symbol's name begins with anything: "FISH", "TELEPHONE RECORDER"
    script = unicodedata.name(character, "").split(" ")[0]
    is_letter = unicodedata.category(character)[0] in "LMN"
    script = "CJK" if script in _CJK else script.title() if is_letter and script else "Symbols"
    if script in _warned_scripts:
        return
    _warned_scripts.add(script)
    _log.warning(
        "No installed font can draw %s (U+%04X is missing), so names in it appear as boxes. "
        "Install a font such as Noto Sans %s, for example: apt-get install %s",
        "Chinese, Japanese and Korean" if script == "CJK" else script,
        ord(character),
        script,
        "fonts-noto-cjk" if script == "CJK" else "fonts-noto-core",
    )


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

    Args:
        text: One line of text; line breaks and runs of white space become a single space.
        width: The room there is, in pixels.
        size: Font size in points.
        families: Font families, from `label_fonts`.
        dpi: Pixels per inch of the figure.

    Returns:
        The text itself where it fits, else the longest shortening that does, at least "…".
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
