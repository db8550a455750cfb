"""Class names in any script are drawn, or the user is told once what to install."""

import time
import unicodedata
from collections.abc import Iterator
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


@pytest.fixture(autouse=True)
def _new_process() -> Iterator[None]:
    def forget() -> None:
        fonts._warned_scripts.clear()
        fonts._choose_installed.cache_clear()
        fonts._register_new_fonts.cache_clear()

    forget()
    yield
    forget()


def test_latin_names_cost_nothing_and_need_no_other_font() -> None:
    names = [f"Puntius sophore var. é ñ ß {i}" for i in range(100)]
    start = time.perf_counter()
    families = label_fonts(names)
    assert time.perf_counter() - start < 1e-3
    assert families == [BASE_FAMILY]
    assert label_fonts([]) == [BASE_FAMILY]


def test_greek_and_cyrillic_are_in_the_base_font(caplog: pytest.LogCaptureFixture) -> None:
    assert label_fonts(["ιχθύς", "рыба"], fonts=[]) == [BASE_FAMILY]
    assert caplog.messages == []


def test_a_font_that_has_the_letters_is_found(caplog: pytest.LogCaptureFixture) -> None:
    assert label_fonts([f"Rui {ONLY_SERIF}"], [MONO, SERIF]) == [BASE_FAMILY, "DejaVu Serif"]
    assert label_fonts([ONLY_MONO], [MONO, SERIF]) == [BASE_FAMILY, "DejaVu Sans Mono"]
    assert caplog.messages == []


def test_names_in_two_scripts_get_a_font_each() -> None:
    families = label_fonts([ONLY_SERIF, ONLY_MONO], [SERIF, MONO])
    assert families[0] == BASE_FAMILY
    assert sorted(families[1:]) == ["DejaVu Sans Mono", "DejaVu Serif"]


def test_upright_regular_faces_are_preferred() -> None:
    bold = replace(SERIF, name="Bold One", weight=700)
    italic = replace(SERIF, name="Italic One", style="italic")
    for order in ([bold, italic, SERIF], [SERIF, italic, bold]):
        assert label_fonts([ONLY_SERIF], order)[1:] == ["DejaVu Serif"]


@pytest.mark.parametrize(
    ("name", "region"), [("鲤鱼 \u1d15", "SC"), ("鯉の \u1d15", "JP"), ("잉어 \u1d15", "KR")]
)
def test_chinese_japanese_and_korean_get_their_own_shapes(name: str, region: str) -> None:
    faces = [replace(SERIF, name=f"Noto Sans CJK {r}") for r in ("HK", "JP", "KR", "SC", "TC")]
    assert label_fonts([name], faces)[1:] == [f"Noto Sans CJK {region}"]


def test_matplotlibs_font_of_boxes_is_never_taken_for_a_real_one() -> None:
    boxes = replace(SERIF, name="Last Resort High-Efficiency")
    assert label_fonts([ONLY_SERIF], [boxes]) == [BASE_FAMILY]


def test_a_font_file_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    gone = replace(SERIF, fname=str(tmp_path / "gone.ttf"), name="Gone")
    (tmp_path / "damaged.ttf").write_bytes(b"no font")
    damaged = replace(SERIF, fname=str(tmp_path / "damaged.ttf"), name="Damaged")
    assert label_fonts([ONLY_SERIF], [gone, damaged, SERIF])[1:] == ["DejaVu Serif"]


def test_a_missing_script_is_told_once_with_what_to_install(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(3):
        assert label_fonts(["রুই", "কাতলা"], fonts=[]) == [BASE_FAMILY]
    label_fonts(["ইলিশ"], fonts=[])
    (message,) = caplog.messages
    assert "Bengali" in message
    assert "Noto Sans Bengali" in message
    assert "apt-get install fonts-noto-core" in message


def test_chinese_and_japanese_count_as_one_script(caplog: pytest.LogCaptureFixture) -> None:
    label_fonts(["鲤鱼", "コイ", "잉어", "。"], fonts=[])
    (message,) = caplog.messages
    assert "apt-get install fonts-noto-cjk" in message


def test_a_missing_symbol_is_no_script_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    label_fonts(["🐟🐠"], fonts=[])
    (message,) = caplog.messages
    assert "Noto Sans Symbols" in message


def test_every_missing_script_is_told(caplog: pytest.LogCaptureFixture) -> None:
    label_fonts(["রুই", "鲤鱼", "रोहू"], fonts=[])
    assert len(caplog.messages) == 3


def test_joiners_and_spaces_need_no_glyph(caplog: pytest.LogCaptureFixture) -> None:
    assert label_fonts(["a\u200db\u3000c\U000e0067"], fonts=[]) == [BASE_FAMILY]
    assert caplog.messages == []


def test_a_font_installed_after_matplotlib_cached_its_list_is_found(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    base = [font for font in font_manager.fontManager.ttflist if font.name == BASE_FAMILY]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", base)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [SERIF.fname])
    assert label_fonts([ONLY_SERIF]) == [BASE_FAMILY, "DejaVu Serif"]
    assert caplog.messages == []


def test_bengali_and_chinese_are_drawn_or_reported(caplog: pytest.LogCaptureFixture) -> None:
    names = ["রুই মাছ", "鲤鱼"]
    families = label_fonts(names)
    paths = [font_manager.findfont(family) for family in families]
    drawn = set().union(*(map(chr, FT2Font(path).get_charmap()) for path in paths))
    missing = set("".join(names)) - drawn
    scripts = {unicodedata.name(character).split()[0] for character in missing}
    assert len(caplog.messages) == len(scripts)


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
