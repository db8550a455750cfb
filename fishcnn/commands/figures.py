"""Figures as files."""

import io
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from fishcnn.plots.figure import figure_to_array
from fishcnn.utils.files import write_bytes


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, quietly about letters that no installed font has.

    Raises:
        FishError: the file cannot be written.
    """
    file = io.BytesIO()
    Image.fromarray(figure_to_array(figure)).save(file, "PNG")
    write_bytes(path, file.getbuffer())
