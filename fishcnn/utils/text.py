"""What can be written: file names that need not be Unicode, numbers that JSON does not know."""

import math
from typing import Any


def printable(name: str) -> str:
    """Escape the bytes of a file name that are not UTF-8, which Python keeps as lone surrogates."""
    return name.encode("utf-8", "backslashreplace").decode()


def finite(value: Any) -> Any:  # noqa: ANN401 - anything that JSON can hold
    """Replace NaN and infinity by None, however deep they lie."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
