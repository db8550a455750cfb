import io
import logging
import os
from contextlib import suppress

import pytest

from fishcnn.commands.terminal import PlainLines, Terminal, fitted_table, terminal_for_tables


def test_a_table_that_nobody_reads_ends_as_any_broken_pipe() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    pipe = os.fdopen(writing, "w")
    with pytest.raises(BrokenPipeError):
        Terminal(file=pipe).print("accuracy 93%")
    with suppress(BrokenPipeError):  # of what is left in its buffer
        pipe.close()


def test_a_log_line_is_wrapped_between_words_at_a_terminal_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = "  Boal/a_long_name_of_fish/broken.jpg: the file is truncated"
    record = logging.LogRecord("fishcnn.data", logging.WARNING, "", 1, text, (), None)
    assert PlainLines().format(record) == text
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert PlainLines().format(record).splitlines() == [
        "  Boal/a_long_name_of_fish/broken.jpg:",
        "  the file is truncated",
    ]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_fitted_table_leaves_out_columns_rather_than_break_words(width: int) -> None:
    head = ("rank", "run", "varied", "accuracy", "seconds", "against the best")
    run = "multirun/2026-01-01_10-00-00-000000/12"
    said = "not distinguishable on 142 images; about 1,200 needed"
    rows = [(str(n), run, f"blocks={n} lr=0.00012", "71.8%", "36,000", said) for n in range(3)]
    console = Terminal(file=io.StringIO(), width=width)
    table = fitted_table(
        head, rows, width, ("run", "varied", "against the best"), ("seconds", "run")
    )
    with console.capture() as capture:
        console.print(table)
    lines = capture.get().splitlines()
    assert all(len(line) <= width for line in lines)
    shown = {*" ".join(lines).split()}
    assert {"rank", "71.8%", "lr=0.00012", "distinguishable"} <= shown
    assert ("36,000" in shown) == (width >= 80)
    start, end = lines[0].find("run  "), lines[0].index("varied")
    names = "".join(line[start:end].strip() for line in lines[1:])
    assert (start > 0) == (width >= 80)
    assert names == run * 3 or width < 80
    assert "…" not in capture.get()


def test_only_folders_are_broken_into_lines_and_no_value_of_a_setting() -> None:
    run, value = "multirun/2026-01-01_10-00-00-000000/12", "experiment=/home/x/found/tuned.yaml"
    assert words_of(run, value, 82) == ["run", "varied", run, value]
    coarse = ["run", "varied", "multirun/", value, "2026-01-01_", "10-00-00-000000/", "12"]
    assert words_of(run, value, 36 + 2 + 16) == coarse
    fine = ["run", "varied", "multirun/", value, "2026-01-01_10-", "00-00-000000/12"]
    assert words_of(run, value, 36 + 2 + 14) == fine


def words_of(run: str, varied: str, width: int) -> list[str]:
    """What a table of a run prints, word by word."""
    table = fitted_table(("run", "varied"), [(run, varied)], width, ("run", "varied"), ())
    console = Terminal(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get().split()


def test_a_part_of_a_path_for_which_a_terminal_is_too_narrow_is_broken_anywhere() -> None:
    run = "abcdefghijklmnopqrstuvwxyz/0123456789"
    assert "".join(words_of(run, "", 16)) == "run" + "varied" + run


@pytest.mark.parametrize(("columns", "width"), [("", 120), ("0", 120), ("70", 70), ("200", 200)])
def test_a_table_in_a_file_is_as_wide_as_columns_says(
    columns: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal_for_tables().width == width
    Terminal().print("accuracy 93%")
    assert capsys.readouterr().out == "accuracy 93%\n"


def test_a_word_for_which_a_terminal_is_too_narrow_is_cut_with_an_ellipsis() -> None:
    table = fitted_table(("n", "words"), [("1", "abcdefghijklmnop short")], 14, ("words",), ())
    console = Terminal(file=io.StringIO(), width=14)
    with console.capture() as capture:
        console.print(table)
    lines = [line.strip() for line in capture.get().splitlines()]
    assert lines == ["n  words", "1  abcdefghij…", "short"]
