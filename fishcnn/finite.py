"""Numbers in JSON, which knows neither NaN nor infinity."""

import math
from typing import Any


def finite(value: Any) -> Any:  # noqa: ANN401 - anything that JSON can hold
    """Replace NaN and infinity by None, however deep they lie."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
