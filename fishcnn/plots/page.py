"""A page of images and words, each at its pixel."""

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fishcnn.plots.figure import DPI, INK, MARGIN, headline
from fishcnn.plots.fonts import shorten


class Page:
    """A figure whose coordinates are its pixels, counted from the upper left corner.

    All images are pasted into one, since an axes for each would take twice the time.

    Attributes:
        axes: For what is drawn over the images.
    """

    def __init__(self, width: int, height: int, title: str, families: list[str]) -> None:
        """Begin a page of so many pixels, with a headline."""
        self._figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        self.axes = self._figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.set_axis_off()
        self._pixels = np.full((height, width, 3), 255, np.uint8)
        self._families = families
        self.room = width - 2 * MARGIN
        heading, size = headline(title, self.room, families)
        self.write(MARGIN, MARGIN, heading, self.room, size)

    def write(
        self, x: float, y: float, text: str, room: float, size: float, **style: object
    ) -> None:
        """Write one line, cut to the room there is in pixels, in letters of a size in points.

        ``y`` is the top of the line unless ``va`` says otherwise; ``style`` is matplotlib's.
        """
        text = shorten(text, room, size, self._families, DPI)
        look: dict[str, Any] = {"color": INK, "va": "top"} | style
        # A class may be called "$1_$2", which is no formula.
        self.axes.text(x, y, text, look, fontsize=size, family=self._families, parse_math=False)

    def paste(self, image: npt.NDArray[np.uint8], x: int, y: int) -> None:
        """Lay an image (H, W, 3), RGB, with its upper left corner at a pixel."""
        height, width = image.shape[:2]
        self._pixels[y : y + height, x : x + width] = image

    def figure(self) -> Figure:
        """The finished page."""
        height, width = self._pixels.shape[:2]
        self.axes.imshow(self._pixels, extent=(0, width, height, 0), interpolation="nearest")
        self.axes.set_aspect("auto")
        return self._figure
