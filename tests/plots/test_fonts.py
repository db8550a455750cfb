"""Class names in any script are drawn, or the user is told once what to install."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest
from matplotlib import font_manager
from matplotlib.font_manager import FontEntry
from matplotlib.ft2font import FT2Font

from fishcnn.plots import fonts
from fishcnn.plots.fonts import BASE_FAMILY, label_fonts, shorten, text_width

DPI = 128
BUNDLED = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
SERIF = FontEntry(fname=str(BUNDLED / "DejaVuSerif.ttf"), name="DejaVu Serif", weight=400)
MONO = FontEntry(fname=str(BUNDLED / "DejaVuSansMono.ttf"), name="DejaVu Sans Mono", weight=400)
# Every matplotlib brings these fonts, and DejaVu Sans, which is always first, lacks the characters.
ONLY_SERIF, ONLY_MONO = "\u1d15", "\u2336"


Install = Callable[..., None]


@pytest.fixture(autouse=True)
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """A process that has asked for no font yet; call it to say which fonts the machine has."""

    def forget() -> None:
        fonts._warned.clear()
        fonts._choose.cache_clear()
        fonts._register_new_fonts.cache_clear()

    def only(*entries: FontEntry, unlisted: Sequence[str] = ()) -> None:
        base = [font for font in font_manager.fontManager.ttflist if font.name == BASE_FAMILY]
        monkeypatch.setattr(font_manager.fontManager, "ttflist", [*base, *entries])
        monkeypatch.setattr(font_manager, "findSystemFonts", lambda: list(unlisted))

    forget()
    yield only
    forget()


def test_latin_names_are_drawn_without_looking_for_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(font_manager, "findSystemFonts")
    monkeypatch.delattr(font_manager, "fontManager")
    assert label_fonts([f"Puntius sophore var. é ñ ß {i}" for i in range(9)]) == [BASE_FAMILY]
    assert label_fonts([]) == [BASE_FAMILY]


def test_greek_and_cyrillic_are_in_the_base_font(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install()
    assert label_fonts(["ιχθύς", "рыба"]) == [BASE_FAMILY]
    assert caplog.messages == []


def test_a_font_that_has_the_letters_is_found(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install(MONO, SERIF)
    assert label_fonts([f"Rui {ONLY_SERIF}"]) == [BASE_FAMILY, "DejaVu Serif"]
    assert label_fonts([ONLY_MONO]) == [BASE_FAMILY, "DejaVu Sans Mono"]
    assert caplog.messages == []


def test_names_in_two_scripts_get_a_font_each(install: Install) -> None:
    install(SERIF, MONO)
    families = label_fonts([ONLY_SERIF, ONLY_MONO])
    assert families[0] == BASE_FAMILY
    assert sorted(families[1:]) == ["DejaVu Sans Mono", "DejaVu Serif"]


@pytest.mark.parametrize("reverse", [False, True])
def test_among_fonts_that_have_the_letters_an_upright_plain_one_is_taken(
    install: Install, reverse: bool
) -> None:
    worse = [
        replace(SERIF, name="Bold Sans", weight=700),
        replace(SERIF, name="Slanted Sans", style="italic"),
        replace(SERIF, name="Noto Serif Bengali"),
        replace(SERIF, name="Noto Sans Bengali UI"),
    ]
    entries = [*worse, replace(SERIF, name="Noto Sans Bengali")]
    install(*(reversed(entries) if reverse else entries))
    assert label_fonts([ONLY_SERIF])[1:] == ["Noto Sans Bengali"]


def test_matplotlibs_font_of_boxes_is_never_taken_for_a_real_one(install: Install) -> None:
    install(replace(SERIF, name="Last Resort High-Efficiency"))
    assert label_fonts([ONLY_SERIF]) == [BASE_FAMILY]


def test_a_font_file_that_is_gone_is_passed_over(tmp_path: Path, install: Install) -> None:
    gone = replace(SERIF, fname=str(tmp_path / "gone.ttf"), name="Gone")
    (tmp_path / "damaged.ttf").write_bytes(b"no font")
    damaged = replace(SERIF, fname=str(tmp_path / "damaged.ttf"), name="Damaged")
    install(gone, damaged, SERIF, unlisted=[gone.fname, damaged.fname])
    assert label_fonts([ONLY_SERIF])[1:] == ["DejaVu Serif"]


def test_missing_letters_are_told_once_with_what_to_install(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install()
    for _ in range(3):
        assert label_fonts(["রুই", "鲤鱼"]) == [BASE_FAMILY]
    label_fonts(["ইলিশ"])
    (message,) = caplog.messages
    assert "ই (U+0987)" in message
    assert "apt-get install fonts-noto-core fonts-noto-cjk" in message


def test_joiners_and_spaces_need_no_glyph(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install()
    assert label_fonts(["a\u200db\u3000c\U000e0067"]) == [BASE_FAMILY]
    assert caplog.messages == []


def test_a_font_installed_after_matplotlib_cached_its_list_is_found(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install(unlisted=[SERIF.fname])
    assert label_fonts([ONLY_SERIF]) == [BASE_FAMILY, "DejaVu Serif"]
    assert caplog.messages == []


@pytest.mark.parametrize("name", ["রুই মাছ", "鲤鱼", "سمك"])
def test_bengali_chinese_and_arabic_are_drawn_or_reported(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [font_manager.findfont(family) for family in label_fonts([name])]
    drawn = set().union(*(map(chr, FT2Font(path).get_charmap()) for path in paths))
    assert len(caplog.messages) == bool(set(name) - drawn)


def test_a_name_that_fits_is_left_alone() -> None:
    assert shorten("Labeo  rohita\n", 500, 8, [BASE_FAMILY], DPI) == "Labeo rohita"


def test_a_long_name_keeps_both_ends_and_uses_the_room() -> None:
    name = "Hypophthalmichthys molitrix (silver carp)"
    short = shorten(name, 150, 8, [BASE_FAMILY], DPI)
    head, tail = short.split("…")
    assert name.startswith(head)
    assert name.endswith(tail)
    assert abs(len(head) - len(tail)) <= 2
    assert 130 < text_width(short, 8, [BASE_FAMILY], DPI) <= 150


def test_no_room_at_all_leaves_an_ellipsis() -> None:
    assert shorten("Hilsa", 0, 8, [BASE_FAMILY], DPI) == "…"


def test_a_vowel_sign_is_not_cut_from_its_letter() -> None:
    name = "কিকিকিকিকিকিকিকিকিকি"
    for room in range(30, 200, 7):
        tail = shorten(name, room, 8, [BASE_FAMILY], DPI).partition("…")[2]
        assert not tail or unicodedata.category(tail[0])[0] == "L"


def test_width_follows_the_size_of_the_letters() -> None:
    small, large = (text_width("Katla", size, [BASE_FAMILY], DPI) for size in (6, 12))
    assert large == pytest.approx(2 * small, rel=0.05)
    assert text_width("", 6, [BASE_FAMILY], DPI) == 0
