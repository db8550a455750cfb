from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fishcnn.cam.localisation import Found, Localisation, energy_inside, localise, pointing_hit
from fishcnn.cam.shortcut import Shortcut

SIDE = 40


class Constant(nn.Module):
    """Says class 0 of everything."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([[3.0, 0.0]]).expand(len(images), 2)


LABELS = torch.tensor([0] * 6 + [1] * 6)
IMAGES = torch.rand(12, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


NO_BARS = torch.zeros(12, SIDE, SIDE, dtype=torch.bool)


def located(maps: Tensor, masks: Tensor | None = None, bars: Tensor = NO_BARS) -> Localisation:
    classes = ["koi", "ruhi"]
    return localise(Constant(), IMAGES, maps, LABELS, classes=classes, bars=bars, masks=masks)


def test_energy_on_the_border_is_compared_with_the_borders_area() -> None:
    maps = torch.zeros(12, SIDE, SIDE)
    maps[:6, 0, 0] = 1  # all in the corner
    maps[6:] = 1  # everywhere
    found = located(maps)
    frame = 1 - 0.8**2
    assert found.border.energy.tolist() == pytest.approx([1, frame])
    assert found.border.area.tolist() == pytest.approx([frame, frame])
    assert found.border.more_than_area.tolist() == [True, False]
    assert found.border.overall == pytest.approx(((1 + frame) / 2, frame))
    (finding,) = found.findings
    assert finding == Found(
        "border",
        "BORDER: in 1 of 2 classes the maps lie on the outer border, 100% of their energy on 36% "
        "of the image.",
        {0: found.border.examples[0]},
    )


def test_only_images_with_bars_count_for_the_bars() -> None:
    bars = NO_BARS.clone()
    bars[6:11, -8:] = True  # five letterboxed images of the second class
    maps = torch.full((12, SIDE, SIDE), 0.01)
    maps[6:11, -4:, 10:30] = 1
    found = located(maps, bars=bars)
    assert found.bars.images.tolist() == [0, 5]
    assert np.isnan(found.bars.energy[0])
    assert found.bars.area[1] == pytest.approx(0.2)
    assert found.bars.energy[1] > 0.8
    assert found.bars.more_than_area.tolist() == [False, True]
    assert set(found.bars.examples[1]) <= set(range(6, 11))
    assert found.findings[0].text.startswith(
        "BORDER: in 1 of 2 classes the maps lie on bars at the edge"
    )


def test_energy_and_peaks_on_the_fish_are_averaged_by_class() -> None:
    masks = torch.zeros(12, SIDE, SIDE)
    masks[:, 10:30, 10:30] = 1
    maps = torch.zeros(12, SIDE, SIDE)
    maps[:6, 20, 20] = 1
    maps[6:, 5, 5] = 1
    maps[11] = 0  # points nowhere: does not count
    found = located(maps, masks)
    assert found.fish is not None
    assert found.pointing is not None
    assert found.fish.energy.tolist() == [1, 0]
    assert found.fish.area.tolist() == pytest.approx([0.25, 0.25])
    assert found.fish.images.tolist() == [6, 5]
    assert found.pointing.tolist() == [1, 0]
    finding = found.findings[-1]
    assert finding.text.startswith(
        "On the fish: 55% of the maps' energy lies on the fish, which covers 25%"
    )
    assert finding.text.endswith("In 1 of 2 classes that is no more than chance.")
    assert finding.examples == {1: found.fish.examples[1]}


def test_evidence_spread_evenly_accuses_nobody_and_says_what_is_left_to_the_eye() -> None:
    found = located(torch.ones(12, SIDE, SIDE))
    assert found.shortcut is None
    assert len(found.findings) == 1
    assert found.findings[0].text.startswith("Nothing suspicious: ")


def test_two_images_of_a_class_are_too_few_to_accuse_it() -> None:
    maps = torch.zeros(12, SIDE, SIDE)
    maps[:, 0, 0] = 1
    found = localise(
        Constant(),
        IMAGES[:7],
        maps[:7],
        LABELS[:7],
        classes=["koi", "ruhi", "no images"],
        bars=NO_BARS[:7],
    )
    assert found.border.more_than_area.tolist() == [True, False, False]
    assert found.border.images.tolist() == [6, 1, 0]


def test_four_of_six_images_may_be_chance() -> None:
    maps = torch.zeros(12, SIDE, SIDE)
    maps[:4, 0, 0] = maps[4:, 20, 20] = 1
    assert located(maps).border.more_than_area.tolist() == [False, False]


def on_border(energy: float) -> Tensor:
    """A (SIDE, SIDE) map with this share of its energy on the border, whose area is 0.36."""
    weights = torch.full((SIDE, SIDE), energy / 0.36)
    weights[4:-4, 4:-4] = (1 - energy) / 0.64
    return weights


def border_findings(*energies: float) -> list[bool]:
    """Whether class 0, whose images have these energies, and class 1, which has 0.36, are found."""
    maps = torch.stack([on_border(energy) for energy in energies] + [on_border(0.36)] * 6)
    labels = torch.tensor([0] * len(energies) + [1] * 6)
    images, bars = torch.zeros(len(maps), 3, SIDE, SIDE), torch.zeros(len(maps), SIDE, SIDE)
    found = localise(Constant(), images, maps, labels, classes=["koi", "ruhi"], bars=bars.bool())
    assert found.border.more_than_area.any() == any(
        finding.kind == "border" for finding in found.findings
    )
    return found.border.more_than_area.tolist()


def test_a_small_excess_is_no_finding_however_steady() -> None:
    assert border_findings(*[0.36 + 0.09] * 6) == [False, False]
    assert border_findings(*[0.36 + 0.11] * 6) == [True, False]


def test_a_large_excess_is_a_finding_beyond_three_standard_errors() -> None:
    # Of 4 images that are d above or below, it is sqrt(4 / 3) d / 2: three of them are 1.73 d.
    assert border_findings(0.56 + 0.11, 0.56 - 0.11, 0.56 + 0.11, 0.56 - 0.11) == [True, False]
    assert border_findings(0.56 + 0.12, 0.56 - 0.12, 0.56 + 0.12, 0.56 - 0.12) == [False, False]


def test_three_images_of_a_class_are_too_few_to_say_where_it_lies() -> None:
    assert border_findings(0.9, 0.9, 0.9) == [False, False]
    assert border_findings(0.9, 0.9, 0.9, 0.9) == [True, False]


@pytest.mark.parametrize(("around", "chance"), [(0.04, False), (0.05, True)])
def test_on_the_fish_means_beyond_two_standard_errors(around: float, chance: bool) -> None:
    # The border is the fish here. Two standard errors of 4 images are 1.155 times what they are
    # above or below: 0.046 or 0.058, and the excess is 0.05.
    energies = [0.41 + around, 0.41 - around, 0.41 + around, 0.41 - around]
    masks = on_border(1).sign().expand(4, SIDE, SIDE)
    found = localise(
        Constant(),
        torch.zeros(4, 3, SIDE, SIDE),
        torch.stack([on_border(energy) for energy in energies]),
        torch.zeros(4, dtype=torch.int64),
        classes=["koi", "no images"],
        bars=NO_BARS[:4],
        masks=masks,
    )
    finding = found.findings[-1]
    assert ("no more than chance." in finding.text) == chance
    assert finding.examples == {0: (1, 3, 0)}
    assert finding.text.startswith("On the fish: 41% of the maps' energy")


def test_a_long_list_of_classes_is_cut_after_five() -> None:
    maps = torch.zeros(28, SIDE, SIDE)
    maps[:, 0, 0] = 1
    found = localise(
        Constant(),
        torch.zeros(28, 3, SIDE, SIDE),
        maps,
        torch.arange(28) // 4,
        classes=list("abcdefg"),
        bars=torch.zeros(28, SIDE, SIDE, dtype=torch.bool),
    )
    (finding,) = found.findings
    line = finding.named([f"{found.classes[i // 4]}/{i}.jpg" for i in range(28)])
    assert line.startswith("BORDER: in 7 of 7 classes ")
    assert "100% of their energy on 36% of the image. See a/3.jpg, a/2.jpg, a/1.jpg; b/" in line
    assert "; e/19.jpg, e/18.jpg, e/17.jpg; and 2 more classes." in line
    assert "f/" not in line


def test_energy_inside_is_the_share_of_the_map_on_the_mask() -> None:
    maps = torch.tensor([[[1.0, 0.5], [0.25, 0.25]]] * 3 + [[[0, 0], [0, 0]]])
    masks = torch.tensor(
        [[[1.0, 0], [0, 0]], [[0.5, 1], [0, 0]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]]
    )
    energy = energy_inside(maps, masks)
    assert energy[:3].tolist() == [0.5, 0.5, 0]
    assert energy[3].isnan()
    assert energy_inside(maps, masks.bool())[:3].tolist() == [0.5, 0.75, 0]


def test_pointing_hit_asks_for_the_peak_only() -> None:
    maps = torch.tensor([[[0.9, 1.0], [0.9, 0.9]]] * 3 + [[[0, 0], [0, 0]]])
    masks = torch.tensor(
        [[[0, 1.0], [0, 0]], [[1, 0.4], [1, 1]], [[0, 0.5], [0, 0]], [[1, 1], [1, 1]]]
    )
    hit = pointing_hit(maps, masks)
    assert hit[:3].tolist() == [1, 0, 1]
    assert hit[3].isnan()
    assert pointing_hit(maps, masks.bool())[:3].tolist() == [1, 1, 1]
    # Of two equal peaks one is on the mask, wherever it lies.
    flat = torch.tensor([[[1.0, 1.0], [0, 0]]])
    assert pointing_hit(flat, torch.tensor([[[True, False], [True, True]]])).tolist() == [0.5]


@pytest.mark.parametrize("patch", [True, False])
def test_a_shortcut_comes_first_and_says_where_it_lies(patch: bool) -> None:
    found = located(torch.ones(12, SIDE, SIDE))
    accused = replace(found, shortcut=Shortcut({1: (7, 9)}, 2, patch, "the numbers"))
    (finding,) = accused.findings
    what = "a small patch" if patch else "something"
    assert finding.named([f"ruhi/{number}.jpg" for number in range(12)]) == (
        f"SHORTCUT: in 1 of 2 classes the network goes by {what}: the numbers. "
        "If it is not part of the fish, remove it. See ruhi/7.jpg, ruhi/9.jpg."
    )
    known = replace(accused, fish=found.border, pointing=np.array([0.5, 0.5]))
    finding, on_fish = known.findings
    assert finding.text == (
        f"SHORTCUT: in 1 of 2 classes the network goes by {what} away from the fish: the numbers."
    )
    assert on_fish.text.startswith("On the fish: 36% of the maps' energy lies on the fish")


def test_examples_are_those_with_the_least_on_the_fish_for_its_size() -> None:
    masks = torch.zeros(12, SIDE, SIDE)
    for i, rows in enumerate((20, 10, 30, 5, 15, 25)):
        masks[[i, i + 6], :rows] = 1
    maps = torch.zeros(12, SIDE, SIDE)
    maps[:, 0] = torch.tensor([0.5, 0.4, 0.6, 0.3, 0.45, 0.725] * 2)[
        :, None
    ]  # all of it on the fish
    maps[:, -1] = 1 - maps[:, 0]
    found = located(maps, masks)
    assert found.fish is not None
    # The excess is 0, 0.15, -0.15, 0.175, 0.075 and 0.1.
    assert found.fish.examples == ((2, 0, 4), (8, 6, 10))
    assert found.fish.error[0] == pytest.approx(
        np.std([0, 0.15, -0.15, 0.175, 0.075, 0.1], ddof=1) / 6**0.5
    )
    assert found.findings[-1].examples[0] == (2, 0, 4)


def test_five_classes_are_all_named() -> None:
    maps = torch.zeros(20, 4, 4)
    maps[:, 0, 0] = 1
    found = localise(
        Constant(),
        torch.zeros(20, 3, 4, 4),
        maps,
        torch.arange(20) // 4,
        classes=list("abcde"),
        bars=torch.zeros(20, 4, 4, dtype=torch.bool),
    )
    line = found.findings[0].named([f"{number}.jpg" for number in range(20)])
    assert line.endswith("; 19.jpg, 18.jpg, 17.jpg.")
    # The border is a pixel wide at least.
    assert found.border.area.tolist() == [0.75] * 5
