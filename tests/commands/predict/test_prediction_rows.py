"""Rows, written and read again."""

import csv
import io
import json

import pytest

from fishcnn.commands.predict.prediction_rows import CsvRows, JsonRows, Row, RowFormat
from fishcnn.utils.text import printable

ROWS = [
    Row("a.jpg", "koi", (("koi", 0.5), ("pike, northern", 0.000001)), None),
    Row('b, "c"\r\n\nd=\udcff.jpg', None, (), "truncated"),
    Row("grüße.jpg", "unknown", (("koi", 0.25), ("pike, northern", 0.2)), None),
]
FORMATS = [CsvRows(2), JsonRows()]


def test_csv_has_a_column_for_everything() -> None:
    text = (CsvRows(2).header() + CsvRows(2).encode(ROWS)).decode("utf-8")
    first, second, third = csv.DictReader(io.StringIO(text, newline=""))
    assert first == {
        "path": "a.jpg",
        "class": "koi",
        "probability": "0.500000",
        "top1_class": "koi",
        "top1_probability": "0.500000",
        "top2_class": "pike, northern",
        "top2_probability": "0.000001",
        "error": "",
    }
    assert second["path"] == 'b, "c"\r\n\nd=\\udcff.jpg'
    assert (second["class"], second["probability"], second["error"]) == ("", "", "truncated")
    assert third["path"] == "grüße.jpg"


def test_json_lines_bring_the_very_name_back() -> None:
    lines = JsonRows().encode(ROWS).decode("utf-8").splitlines()
    first, second, _ = map(json.loads, lines)
    assert first == {
        "path": "a.jpg",
        "class": "koi",
        "probability": 0.5,
        "top": [
            {"class": "koi", "probability": 0.5},
            {"class": "pike, northern", "probability": 0.000001},
        ],
        "error": None,
    }
    assert second["path"] == ROWS[1].path
    assert second["class"] is second["probability"] is None
    assert second["top"] == []


@pytest.mark.parametrize("rows", FORMATS)
def test_a_file_that_was_cut_anywhere_is_read_up_to_its_last_whole_row(rows: RowFormat) -> None:
    parts = [rows.header(), *(rows.encode([row]) for row in ROWS)]
    whole = b"".join(parts)
    ends = [sum(map(len, parts[: count + 2])) for count in range(3)]
    for size in range(len(whole) + 1):
        read = list(rows.read(io.BytesIO(whole[:size])))
        assert [row.end for row in read] == [end for end in ends if end <= size], whole[:size]
        paths = [printable(row.path) for row in ROWS]
        assert [row.path for row in read] == paths[: len(read)]
        assert [row.label for row in read] == ["koi", "", "unknown"][: len(read)]


@pytest.mark.parametrize("rows", FORMATS)
def test_what_a_power_cut_left_behind_is_no_row(rows: RowFormat) -> None:
    whole = rows.header() + rows.encode(ROWS)
    for rest in (b"\0\0\0\n", b'{"path": "\xff\n', b"\xff\xff\n"):
        assert len(list(rows.read(io.BytesIO(whole + rest)))) == 3
