"""The contact sheet of labels that may be wrong."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from fishcnn.plots.figure import WRONG, figure_to_array
from fishcnn.plots.label_sheet import ON_A_PAGE, DoubtfulLabel, label_sheet


def doubts(count: int, *, name: str = "Koi/{}.jpg") -> list[DoubtfulLabel]:
    return [
        DoubtfulLabel(
            np.full((20, 20, 3), 10 * number % 256, np.uint8),
            1.5,
            name.format(number),
            f"given {number}",
            f"likely {number} 90%",
        )
        for number in range(count)
    ]


def words(figure: Figure) -> dict[str, str]:
    """What stands on a page, with its colour."""
    return {text.get_text(): str(text.get_color()) for text in figure.axes[0].texts}


def test_each_image_has_its_number_its_path_and_both_classes_the_given_one_in_red() -> None:
    found = words(label_sheet(doubts(3), "Labels in fish", first=49))
    for number in range(3):
        assert f"{49 + number} Koi/{number}.jpg" in found
        assert found[f"given {number}"] == WRONG
        assert found[f"likely {number} 90%"] != WRONG


def test_a_long_path_keeps_its_number() -> None:
    found = words(label_sheet(doubts(1, name="A folder of a rather long name/{}.jpg"), "", first=7))
    assert "7 …/0.jpg" in found


@pytest.mark.parametrize("count", [1, 8, 9, ON_A_PAGE])
def test_the_page_is_as_high_as_its_lines(count: int) -> None:
    pixels = figure_to_array(label_sheet(doubts(count), "Labels in fish"))
    one = figure_to_array(label_sheet(doubts(1), "Labels in fish"))
    line = figure_to_array(label_sheet(doubts(9), "")).shape[0] - one.shape[0]
    assert pixels.shape[0] == one.shape[0] + (-(-count // 8) - 1) * line
    assert (pixels[-10:] == 255).all()  # nothing runs over the edge
    assert (pixels[:, -10:] == 255).all()
