"""Finds what agencies and cameras put around an image: letterboxes, frames, caption bars.

A network can learn them instead of the fish: one agency's bar below all images of one species.

The thresholds were chosen on 712 photographs of fish from the web, where bars are found in 29 %,
mostly those of image agencies, and on 4000 rendered images, where none should be: 0.2 % of
these are planks or water so even that they pass for one.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Out of 255: JPEG and scaling alone move a constant colour this far.
MAX_COLOUR_SHIFT = 14
# Shares of the side: thinner lines are an edge of the photograph, a deeper bar would leave nothing
# between two of them, and where more is lettered, it is a poster and not a caption.
MIN_DEPTH, MAX_DEPTH, MAX_CAPTION_DEPTH = 0.015, 0.48, 0.15
# Out of 255: the typical deviation within a bar, where photographs have noise.
MAX_DEVIATION = 2
# Shares of constant colour in a line without text, and in a line of text.
MIN_BARE, MIN_LETTERED = 0.96, 0.2
# Share of a line that must change where the bar ends; along a fish less changes at once.
MIN_STEP = 0.4
# Changes between ink and ground along a line: two words have more, a fin fewer.
MIN_STROKES = 8


class Bars(NamedTuple):
    """Bars at the four edges of an image, as shares of its height or width: 0..0.48, or 0."""

    top: float
    bottom: float
    left: float
    right: float
    captions: tuple[str, ...]  # the edges, of "top" and "bottom", whose bar carries text
    mask: NDArray[np.bool_]  # (H, W), True on the bars

    @property
    def extents(self) -> dict[str, float]:
        """Height or width by edge, as a share of the image's."""
        return dict(zip(self._fields, self[:4], strict=False))

    def __bool__(self) -> bool:
        return any(self.extents.values())


def find_bars(image: NDArray[np.uint8]) -> Bars:
    """Find bars of constant colour, with or without text, at the edges of an image.

    A bar ends in a straight line along which the image changes all at once. The even background
    of a studio photograph has no such line and is no bar; a line of small print at its top or
    bottom is one, as deep as the print. A bar whose colour the image goes on in is not seen, nor
    is text on the image itself.

    Args:
        image: uint8 ``(H, W, 3)``, at least 16 pixels each way.

    Raises:
        ValueError: the image has another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape) < 3:
        raise ValueError(f"wanted uint8 (H, W, 3), not {image.dtype} {image.shape}")
    height, width, _ = image.shape
    top, top_text = _bar(image, text=True)
    bottom, bottom_text = _bar(image[::-1], text=True)
    # Between these two, or a caption would end the bars beside the photograph.
    between = image[top : height - bottom].transpose(1, 0, 2)
    left, _ = _bar(between, text=False)
    right, _ = _bar(between[::-1], text=False)
    mask = np.ones((height, width), np.bool_)
    mask[top : height - bottom, left : width - right] = False
    captions = [name for name, text in (("top", top_text), ("bottom", bottom_text)) if text]
    return Bars(top / height, bottom / height, left / width, right / width, tuple(captions), mask)


def _bar(image: NDArray[np.uint8], *, text: bool) -> tuple[int, bool]:
    """Depth in lines of the bar at the first line of (H, W, 3), and whether it carries text."""
    length = len(image)
    if not length:
        return 0, False
    colour = np.median(image[:2].reshape(-1, 3), axis=0).astype(np.int16)
    if not _is_even(image[:2], colour):
        return 0, False
    deepest = int(MAX_DEPTH * length)
    outer = image[: deepest + 2]
    ground = _ground(outer, colour)
    share = ground.mean(1)
    # Scaling blends the line between bar and photograph, so the fall is looked for over two lines.
    falls = np.flatnonzero(share[:-2] - share[2:] >= MIN_STEP) + 1
    bars = [(0, False)]
    if text and (depth := _print(ground, share, length)):
        bars.append((depth, True))
    for depth in falls.tolist():
        inside = share[:depth]
        if depth < max(2, MIN_DEPTH * length) or inside.min() < MIN_LETTERED:
            continue
        if inside.min() >= MIN_BARE:
            bars += [(depth, False)] if _is_even(outer[:depth], colour) else []
        elif text and depth <= MAX_CAPTION_DEPTH * length and inside[-2:].max() >= MIN_BARE:
            bars += [(depth, True)] if _is_even(outer[:depth], colour, quantile=0.25) else []
    # Above a line of print the colour changes as well, so the deepest counts.
    return max(bars)


def _ground(lines: NDArray[np.uint8], colour: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Which pixels have this colour, (lines, W)."""
    low = np.clip(colour - MAX_COLOUR_SHIFT, 0, 255).astype(np.uint8)
    high = np.clip(colour + MAX_COLOUR_SHIFT, 0, 255).astype(np.uint8)
    red, green, blue = ((lines >= low) & (lines <= high)).transpose(2, 0, 1)
    ground: NDArray[np.bool_] = red & green & blue  # several times as fast as all(2)
    return ground


def _is_even(lines: NDArray[np.uint8], colour: NDArray[np.int16], *, quantile: float = 0.5) -> bool:
    """Whether the colour was filled in and not photographed; less of it counts beside text."""
    return bool(np.quantile(np.abs(lines - colour).max(2), quantile) <= MAX_DEVIATION)


def _print(ground: NDArray[np.bool_], share: NDArray[np.float64], length: int) -> int:
    """Depth of a line of small print on a ground that goes on behind it; 0 where there is none."""
    inked = share < 0.99
    if not inked.any():
        return 0
    first = int(inked.argmax())
    end = first + int(np.argmin(inked[first:]))  # the first where none is left: then end == first
    apart = not inked[end : end + max(2, round(0.02 * length))].any()
    small = end - first >= 2 and end <= MAX_CAPTION_DEPTH * length
    if not (small and apart) or share[first:end].min() < MIN_LETTERED:
        return 0
    strokes = int((ground[first:end, 1:] != ground[first:end, :-1]).sum(1).max())
    return end if strokes >= MIN_STROKES else 0
