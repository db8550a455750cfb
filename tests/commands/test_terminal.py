import io
import logging
import os
from contextlib import suppress

import pytest

from fishcnn.commands.terminal import PlainLines, Terminal, fitted_table


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
    assert ("36,000" in shown) == (width >= 120)
    assert ({"multirun/", "2026-01-01_10-00-00-000000/", "12"} <= shown) == (width >= 80)
    assert "…" not in capture.get()


def test_only_folders_are_broken_into_lines_and_no_value_of_a_setting() -> None:
    run, value = "multirun/2026-01-01_10-00-00/12", "experiment=/home/x/found/tuned.yaml"
    table = fitted_table(("run", "varied"), [(run, value)], 120, ("run", "varied"), ())
    console = Terminal(file=io.StringIO(), width=120)
    with console.capture() as capture:
        console.print(table)
    words = capture.get().split()
    assert words == ["run", "varied", "multirun/", value, "2026-01-01_10-00-00/", "12"]


def test_a_word_for_which_a_terminal_is_too_narrow_is_cut_with_an_ellipsis() -> None:
    table = fitted_table(("n", "words"), [("1", "abcdefghijklmnop short")], 14, ("words",), ())
    console = Terminal(file=io.StringIO(), width=14)
    with console.capture() as capture:
        console.print(table)
    lines = [line.strip() for line in capture.get().splitlines()]
    assert lines == ["n  words", "1  abcdefgh…", "short"]
