from pathlib import Path

import pytest

from fishcnn.commands.explain.explanation_report import LISTED, Summary, asked, markdown, report
from fishcnn.commands.explain.explanation_rows import Row
from fishcnn.commands.explain.question import Question


def summary(**changes: object) -> Summary:
    one = Row("in/koi|carp/1.jpg", None, (("a_b", 0.9),), "a_b", None, (None,), "1.png", None)
    given = {
        "checkpoint": Path("runs/1/checkpoints/best.ckpt"),
        "question": Question("gradcam", ("blocks.1",)),
        "pictures": "photos",
        "rows": [one] * LISTED,
        "total": LISTED + 7,
        "unreadable": 2,
        "on_sheet": 16,
        "measured": None,
        "examples": [],
        "remarks": ["Mind the *gap*."],
    }
    return Summary(**(given | changes))  # type: ignore[arg-type]


def test_names_of_classes_and_files_are_no_markup() -> None:
    text = report(summary())
    assert r"| koi\|carp/1.jpg |" in text
    assert r"a\_b 90%" in text
    assert r"Mind the \*gap\*." in text
    assert markdown("<b>\n# x") == r"\<b\> \# x"


def test_what_was_left_out_is_said() -> None:
    text = report(summary())
    assert f"{LISTED + 7} pictures: photos." in text
    assert "the first 16 are on the sheet" in text
    assert "2 of them cannot be read" in text
    assert "And 7 more." in text
    assert "trusted?" not in text.split("\n", 1)[1]  # beyond the headline
    broken = Row("a/2.jpg", None, (), None, None, (), None, "truncated")
    text = report(summary(rows=[broken], total=1, unreadable=1, on_sheet=0))
    assert "cannot be read: truncated" in text
    assert "contact_sheet" not in text


@pytest.mark.parametrize(
    ("method", "target", "against", "words"),
    [
        ("gradcam", "predicted", None, "what speaks for the predicted class"),
        ("gradcam", True, "predicted", "the true class rather than for the predicted class"),
        ("gradcam", "rui", 3, "what speaks for class rui rather than for class 3"),
        ("eigencam", "predicted", None, "what stands out, whatever the class"),
    ],
)
def test_the_question_is_put_in_words(
    method: str, target: str | int, against: str | int | None, words: str
) -> None:
    assert words in asked(Question(method, ("b",), target, against))
