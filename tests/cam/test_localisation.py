import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fishcnn.cam.localisation import Localisation, localise
from fishcnn.cam.recurring import find_recurring
from fishcnn.cam.shortcut import shortcut_by_recurrence

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
    assert found.findings == (
        "BORDER: in 1 of 2 classes the maps lie on the outer border, 100% of their energy on 36% "
        f"of the image (koi: images {', '.join(map(str, found.border.examples[0]))}).",
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
    assert found.findings[0].startswith(
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
    line = found.findings[-1]
    assert line.startswith(
        "On the fish: 55% of the maps' energy lies on the fish, which covers 25%"
    )
    assert "In 1 of 2 classes that is no more than chance (ruhi: images " in line


def test_evidence_spread_evenly_accuses_nobody_and_says_what_is_left_to_the_eye() -> None:
    found = located(torch.ones(12, SIDE, SIDE))
    assert found.shortcut is None
    assert len(found.findings) == 1
    assert found.findings[0].startswith("Nothing suspicious: ")


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


def stamped(share: float) -> tuple[Tensor, Tensor, Tensor]:
    """Noise images of three classes, each with a stamp of its own at random places."""
    generator = torch.Generator().manual_seed(0)
    images = 0.4 + 0.2 * torch.rand(36, 3, 64, 64, generator=generator)
    stamps = (torch.rand(3, 3, 10, 10, generator=generator) > 0.5).float()
    labels = torch.arange(36) % 3
    maps = torch.full((36, 64, 64), 0.1)
    for i, label in enumerate(labels.tolist()):
        row, column = torch.randint(0, 54, (2,), generator=generator).tolist()
        if i < share * 36:
            images[i, :, row : row + 10, column : column + 10] = stamps[label]
        maps[i, row : row + 10, column : column + 10] = 1
    return images, maps, labels


def test_a_stamp_is_found_in_every_image_that_has_it_and_where_it_is() -> None:
    images, maps, labels = stamped(share=1)
    found = find_recurring(images, maps, labels, torch.Generator().manual_seed(0))
    assert set(found) == {0, 1, 2}
    for label, patch in found.items():
        assert patch.share == 1
        assert patch.recurs
        assert patch.images.tolist() == (labels == label).nonzero()[:, 0].tolist()
        for i, row, column in zip(patch.images, patch.rows * 64, patch.columns * 64, strict=True):
            inside = maps[i, round(row.item()) + 4, round(column.item()) + 4]
            assert inside == 1


def test_a_stamp_in_a_third_of_the_images_does_not_recur() -> None:
    images, maps, labels = stamped(share=1 / 3)
    found = find_recurring(images, maps, labels, torch.Generator().manual_seed(0))
    assert not any(patch.recurs for patch in found.values())


def test_a_stamp_that_other_classes_have_too_gives_nothing_away() -> None:
    images, maps, labels = stamped(share=1)
    common = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(9)).round()
    images[:, :, :8, :8] = common
    maps[:, :8, :8] = 2
    found = find_recurring(images, maps, labels, torch.Generator().manual_seed(0))
    assert set(found) == {0, 1, 2}
    for patch in found.values():
        assert patch.recurs
        assert float((patch.rows + patch.columns).max()) > 0.25  # the class's own stamp
    images[:] = 0.4
    images[:, :, :8, :8] = common
    assert find_recurring(images, maps, labels, torch.Generator().manual_seed(0)) == {}


def test_a_stamp_that_the_network_does_not_care_about_is_no_shortcut() -> None:
    images, maps, labels = stamped(share=1)
    generator = torch.Generator().manual_seed(0)
    assert shortcut_by_recurrence(Constant3(), images, maps, labels, generator) is None


class Brightest(nn.Module):
    """Says class 0 where anything is bright."""

    def forward(self, images: Tensor) -> Tensor:
        bright = 20 * (images.amax((1, 2, 3)) - 0.8)
        return torch.stack((bright, torch.zeros_like(bright), torch.zeros_like(bright)), 1)


def test_one_class_of_three_with_a_stamp_is_not_enough_without_masks() -> None:
    images, maps, labels = stamped(share=1)
    images[labels > 0] = images[labels > 0].clamp(max=0.6) * 0.5 + 0.2
    maps[labels > 0] = 0
    generator = torch.Generator().manual_seed(0)
    assert find_recurring(images, maps, labels, generator)[0].recurs
    assert shortcut_by_recurrence(Brightest(), images, maps, labels, generator) is None


class Constant3(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([[3.0, 0.0, 0.0]]).expand(len(images), 3)
