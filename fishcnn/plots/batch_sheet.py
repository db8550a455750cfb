"""A training batch as the network gets it: augmented, perhaps mixed, with its labels."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fishcnn.plots.cam_sheet import to_card_size
from fishcnn.plots.figure import CAPTION_SIZE, LINE_HEIGHT, MARGIN
from fishcnn.plots.fonts import label_fonts
from fishcnn.plots.page import Page
from fishcnn.utils.text import percent

# What can be read on a card of TensorBoard.
COLUMNS = 3
GAP, ROW_GAP, TOP = 8, 10, 44  # pixels


def batch_sheet(
    images: npt.NDArray[np.floating],
    targets: npt.NDArray[np.floating],
    classes: Sequence[str],
    title: str,
) -> Figure:
    """Draw images with their labels under them; of a mixed one, both with their shares.

    Args:
        images: (N, H, W, 3), RGB in [0, 1], N ≥ 1.
        targets: (N, K), the share of each class, which sum to 1.
        classes: K class names.
        title: Headline.
    """
    pixels = (np.clip(np.nan_to_num(images), 0, 1) * 255 + 0.5).astype(np.uint8)
    tiles = to_card_size(pixels[:, None])[:, 0]
    labels = [_labels(target, classes) for target in targets]
    lines = max(map(len, labels))
    count, high, wide = tiles.shape[:3]
    columns = min(count, COLUMNS)
    pitch_x, pitch_y = wide + GAP, high + lines * LINE_HEIGHT + ROW_GAP
    width = COLUMNS * pitch_x - GAP + 2 * MARGIN
    height = TOP + -(-count // columns) * pitch_y + MARGIN
    families = label_fonts([title, *(line for of_one in labels for line in of_one)])
    page = Page(width, height, title, families)
    for i, (tile, of_one) in enumerate(zip(tiles, labels, strict=True)):
        row, column = divmod(i, columns)
        left, top = MARGIN + column * pitch_x, TOP + row * pitch_y
        page.paste(tile, left, top)
        for number, line in enumerate(of_one):
            page.write(left, top + high + 3 + number * LINE_HEIGHT, line, wide, CAPTION_SIZE)
    return page.figure()


def _labels(target: npt.NDArray[np.floating], classes: Sequence[str]) -> list[str]:
    """The classes of an image, largest share first; shares are said where there are several."""
    shares = {int(k): percent(target[k], 0) for k in np.argsort(-target, kind="stable")}
    shown = {k: share for k, share in shares.items() if share != "0%"}
    if len(shown) == 1:
        return [classes[k] for k in shown]
    return [f"{share} {classes[k]}" for k, share in shown.items()]
