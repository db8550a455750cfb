import html
from pathlib import Path

import numpy as np
import pytest

from fishcnn.cam.methods import METHODS
from fishcnn.commands.explain.explanation_report import (
    LISTED,
    Explanation,
    explanation_page,
    print_explanation,
)
from fishcnn.commands.explain.explanation_rows import Row
from fishcnn.commands.explain.question import Question

PANELS = {name: np.full((30, 40, 3), 99, np.uint8) for name in ("original", "<i>layer</i>")}


def made(*rows: Row, **changes: object) -> Explanation:
    given = {
        "checkpoint": Path("runs/1/checkpoints/best.ckpt"),
        "question": Question(METHODS["gradcam"], ("blocks.1",), cells=((2, 2),)),
        "images": "photos",
    }
    explanation = Explanation(**(given | changes))  # type: ignore[arg-type]
    for row in rows:
        explanation.add(row, {} if row.error else PANELS)
    return explanation


def page(*rows: Row, **changes: object) -> str:
    """The page as it reads, its markup left as it is."""
    text = explanation_page(made(*rows, **changes)).decode("utf-8").replace("<wbr>", "")
    return " ".join(text.split())


ONE = Row("in/koi<b>/1.jpg", "<script>", (('"Rui"', 0.9), ("a&b", 0.1)), '"Rui"', None, (None,))
BROKEN = Row("a/\udcff.jpg", None, error="truncated")


def test_names_of_classes_and_files_are_no_markup() -> None:
    text = page(ONE, BROKEN, remarks=["Mind the <b>gap</b>."])
    assert "<script" not in text
    assert "<i>" not in text
    assert "<b>" not in text
    assert "but it is</span> <script>" in html.unescape(text)
    assert 'class="wrong">"Rui"</span> 90.0%' in html.unescape(text)
    assert "koi<b>/1.jpg; then a&b 10.0%" in html.unescape(text)
    assert "Mind the <b>gap</b>." in html.unescape(text)
    assert "a/\\udcff.jpg" in text


def test_what_was_left_out_is_said() -> None:
    text = page(*[ONE] * LISTED, *[BROKEN] * 1007)
    assert f"{LISTED + 1007:,} images: photos. 1,007 cannot be read." in text
    assert text.count("<article>") == LISTED
    assert "And 1,007 more: a drawing of each is in the folder pictures/" in text
    assert "faithful" not in text
    text = page(BROKEN)
    assert "cannot be read: truncated" in text
    assert "<figure>" not in text


def test_the_page_refers_to_nothing_outside_itself() -> None:
    text = page(ONE)
    assert text.count('src="data:image/jpeg;base64,') == text.count("src=") == len(PANELS)
    assert not any(word in text for word in ("href=", "url(", "@import", "http:", "https:"))


def test_what_stands_above_the_images_are_sentences() -> None:
    text = html.unescape(page(ONE))
    assert "own colours: none of it. Map of 2 x 2 cells: too coarse" in text
    assert "fewer blocks. Predictions that are known to be wrong are red." in text


def test_a_narrow_terminal_shows_whole_names(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    name = "harlequin_triggerfish"
    print_explanation(made(Row(f"in/{name}/0017.jpg", name, ((name, 0.9),), name)), [])
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert "/0017.jpg" in printed
