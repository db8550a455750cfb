import os
from contextlib import suppress

import pytest

from fishcnn.commands.terminal import Terminal


def test_a_table_that_nobody_reads_ends_as_any_broken_pipe() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    pipe = os.fdopen(writing, "w")
    with pytest.raises(BrokenPipeError):
        Terminal(file=pipe).print("accuracy 93%")
    with suppress(BrokenPipeError):  # of what is left in its buffer
        pipe.close()
