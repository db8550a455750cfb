import logging
import os
from contextlib import suppress

import pytest

from fishcnn.commands.terminal import PlainLines, Terminal


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
