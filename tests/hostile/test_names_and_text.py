"""Names and lists of any letters: written as text, told apart, and taken for what they are."""

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from markdown_it import MarkdownIt
from networks import small_classifier
from PIL import Image
from rich.console import Console

from fishcnn.cam.targets import class_targets
from fishcnn.commands.explain.explained_images import typed_files
from fishcnn.commands.explain.question import ask, words_that_are_classes
from fishcnn.commands.labelled_images import labelled_folder
from fishcnn.commands.predict.prediction_rows import CsvRows, JsonRows, Row
from fishcnn.commands.predict.prediction_stream import Predictor
from fishcnn.data.image_folder import scan_folder
from fishcnn.data.image_index import mask_path
from fishcnn.training.diagnosis import Verdict, report
from fishcnn.utils.errors import FishError
from fishcnn.utils.streams import paths_of_lines, print_any_letter
from fishcnn.utils.text import find_name, from_cell, markdown, markdown_code, to_cell

BENGALI = "\u09ad\u09c7\u099f\u0995\u09bf"
COMPOSED, DECOMPOSED = "Caf\u00e9", "Cafe\u0301"
HOSTILE = [
    "=HYPERLINK(1)",
    "+1",
    "-0.5",
    "@SUM",
    "\tx",
    "'=already",
    "a|b",
    "`x``y`",
    "<script>",
    "*b*_c_~d~",
    "[x](http://y)",
    "![x](y)",
    "&amp;",
    "$x$",
    "a\\",
    "# head",
    "[red]x[/]",
    BENGALI,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text_in_every_kind_of_file(name: str) -> None:
    # Nothing that a spreadsheet computes, and the very name for those who read it back.
    row = Row(f"{name}/1.jpg", name, ((name, 0.5),), None)
    rows = CsvRows(1)
    written = rows.header() + rows.encode([row])
    cells = next(csv.reader(written.decode().splitlines()[1:]))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    assert [from_cell(cell) for cell in cells] == [row.path, name, "0.500000", name, "0.500000", ""]
    (read,) = rows.read(io.BytesIO(written))
    assert (read.path, read.label) == (row.path, name)
    assert JsonRows().encode([row]).count(b"'") == (3 if name.startswith("'") else 0)
    # In Markdown a cell of a table shows the name and nothing but the name.
    table = f"| a | b |\n|---|---|\n| {markdown(name)} | x |\n"
    tokens = MarkdownIt("commonmark").enable("table").parse(table)
    inline = [token for token in tokens if token.type == "inline"][2]
    assert {token.type for token in inline.children or []} <= {"text", "text_special"}
    assert "".join(token.content for token in inline.children or []) == name.strip()
    # And as code, too.
    (paragraph,) = [
        token
        for token in MarkdownIt("commonmark").parse(f"x {markdown_code(name)}")
        if token.type == "inline"
    ]
    assert (paragraph.children or [])[-1].content.strip() == name.strip()


def test_numbers_of_csv_stay_numbers() -> None:
    assert to_cell("0.5") == "0.5"
    assert to_cell("") == ""
    assert to_cell("it's") == "it's"


def test_the_diagnosis_shows_a_class_and_no_markup() -> None:
    text = report([Verdict("class ignored", "no image of <b>[x](y)|* was recognised", ("a=`b`",))])
    shown = MarkdownIt("commonmark").render(text)
    assert "&lt;b&gt;[x](y)|* was recognised" in shown
    assert "<code>a=`b`</code>" in shown


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"], ids=str
)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_a_list_of_paths_is_read_in_every_encoding(encoding: str, end: str) -> None:
    # The second letter's code has the byte of a line feed in it.
    paths = [f"{BENGALI}/1.jpg", "\u0a0a\u010a.jpg", "a b.jpg"]
    text = end.join([paths[0], "", *paths[1:]])
    if encoding == "utf-16-be":
        text = f"\ufeff{text}"
    assert list(paths_of_lines(io.BytesIO(text.encode(encoding)))) == paths


def test_a_list_is_read_as_far_as_it_has_come() -> None:
    def lines() -> Iterator[bytes]:
        yield "a.jpg\nb".encode("utf-16")[:-1]
        raise AssertionError("read too far")

    assert next(paths_of_lines(lines())) == "a.jpg"


def test_bytes_that_are_no_letters_stay_a_path() -> None:
    assert list(paths_of_lines(io.BytesIO(b"a\xff.jpg\n"))) == ["a\udcff.jpg"]


def test_a_list_with_zero_bytes_is_refused() -> None:
    with pytest.raises(FishError, match="zero bytes"):
        list(paths_of_lines(io.BytesIO(b"a.jpg\0b.jpg\0")))


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_what_a_pipe_has_no_letter_for_is_escaped(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe, encoding=encoding))
    print_any_letter()
    Console(markup=False).print(f"{BENGALI}\udcff")
    sys.stdout.flush()
    assert (
        pipe.getvalue().decode(encoding).startswith(BENGALI if encoding == "utf-8" else "\\u09ad")
    )


@pytest.mark.parametrize("name", ["unknown", "Unknown", "predicted", "true", "all", "accuracy"])
def test_images_below_the_threshold_are_not_mixed_up_with_a_class(name: str) -> None:
    predictor = Predictor(small_classifier([name, "Koi"]), threshold=0.99999, top_k=1)
    (row,) = [predictor._row("a.jpg", ((name, 0.5),))]
    assert row.label not in (name, None)
    assert row.label == ("below threshold" if name.lower() == "unknown" else "unknown")


def test_where_no_word_is_left_the_threshold_is_refused() -> None:
    predictor = Predictor(small_classifier(["unknown", "below threshold"]), threshold=0.9, top_k=1)
    with pytest.raises(FishError, match=r"threshold=0\.9: .* type threshold=0"):
        _ = predictor.unknown


@pytest.mark.parametrize("word", ["predicted", "true"])
def test_a_word_that_is_a_class_as_well_is_explained(word: str) -> None:
    classifier = small_classifier(["Koi", word]).eval()
    question = ask(classifier, method="gradcam", layer=None, target=word, against=None)
    (remark,) = words_that_are_classes(question, classifier.classes)
    assert f"target={word} means the {word} class of each image" in remark
    assert "target=1" in remark


@pytest.mark.parametrize(("one", "other"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_a_class_is_the_same_in_both_forms_of_unicode(one: str, other: str, tmp_path: Path) -> None:
    # Between them in the order of the bytes of one form only.
    others = ["Cafez", "Cafe"]
    for name in [one, *others]:
        (tmp_path / name).mkdir()
        Image.new("RGB", (20, 20), "red").save(tmp_path / name / "1.png")
    classes = [*others, other]
    assert find_name(one, classes) == 2
    targets = class_targets(one, classes=classes, labels=None, count=1)
    assert targets is not None
    assert torch.equal(targets, torch.tensor([2]))
    (file,) = typed_files(str(tmp_path / one), classes, None)
    assert file.label == 2
    images = labelled_folder(tmp_path, small_classifier(classes))
    assert not [remark for remark in images.remarks if "without an image" in remark]
    found = {path.parts[0]: label for path, label in zip(images.paths, images.labels, strict=True)}
    assert found == {one: 2, "Cafez": 0, "Cafe": 1}
    # A mask lies where it lies, however its folder is written.
    assert mask_path(tmp_path, Path(other) / "1.jpg") == tmp_path / one / "1.png"


def test_an_image_has_the_same_place_in_both_forms_of_unicode(tmp_path: Path) -> None:
    orders = []
    for number, name in enumerate((COMPOSED, DECOMPOSED)):
        root = tmp_path / str(number)
        for one in (name, "Cafez", "Cafe"):
            (root / one).mkdir(parents=True)
            (root / one / "1.jpg").touch()
        index = scan_folder(root)
        orders.append([index.labels.tolist(), [find_name(COMPOSED, index.classes)]])
    assert orders[0] == orders[1]
    assert np.array(orders[0][0]).tolist() == [0, 1, 2]
