from pathlib import Path

from fishcnn.cam.methods import METHODS
from fishcnn.commands.explain.explanation_report import LISTED, Explanation, report
from fishcnn.commands.explain.explanation_rows import Row
from fishcnn.commands.explain.question import Question


def explanation(*rows: Row, **changes: object) -> Explanation:
    given = {
        "checkpoint": Path("runs/1/checkpoints/best.ckpt"),
        "question": Question(METHODS["gradcam"], ("blocks.1",)),
        "images": "photos",
    }
    made = Explanation(**(given | changes))  # type: ignore[arg-type]
    for row in rows:
        made.add(row)
    return made


ONE = Row("in/koi|carp/1.jpg", None, (("_b_", 0.9),), "_b_", None, (None,), "1.png")
BROKEN = Row("a/2.jpg", None, error="truncated")


def test_names_of_classes_and_files_are_no_markup() -> None:
    text = report(explanation(ONE, remarks=["Mind the *gap*\n<b>."]))
    assert r"| koi\|carp/1.jpg |  | \_b\_ 90% | \_b\_ | - |" in text
    assert r"Mind the \*gap\* \<b\>." in text


def test_what_was_left_out_is_said() -> None:
    text = report(explanation(*[ONE] * LISTED, *[BROKEN] * 7, on_sheet=16))
    assert f"{LISTED + 7} images: photos." in text
    assert "the first 16 are on the sheet" in text
    assert "7 of them cannot be read" in text
    assert "And 7 more." in text
    assert "Are the maps faithful" not in text
    text = report(explanation(BROKEN))
    assert "cannot be read: truncated" in text
    assert "contact_sheet" not in text
