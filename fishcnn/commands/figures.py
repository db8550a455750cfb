"""Figures as files."""

from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from fishcnn.plots.figure import figure_to_array


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, quietly about letters that no installed font has."""
    Image.fromarray(figure_to_array(figure)).save(path)
