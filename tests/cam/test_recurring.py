import pytest
import torch
from stamped import StampReader, stamped
from torch import Tensor, nn

from fishcnn.cam.recurring import (
    CANDIDATES,
    MIN_OWN,
    Recurring,
    _candidates,
    _matches,
    find_recurring,
)
from fishcnn.cam.shortcut import Shortcut, shortcut_by_recurrence


def test_a_stamp_is_found_in_every_image_that_has_it_and_where_it_is() -> None:
    images, maps, labels, _ = stamped()
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
    images, maps, labels, _ = stamped(share=1 / 3)
    found = find_recurring(images, maps, labels, torch.Generator().manual_seed(0))
    assert not any(patch.recurs for patch in found.values())


def test_a_stamp_that_other_classes_have_too_gives_nothing_away() -> None:
    images, maps, labels, _ = stamped()
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
    images, maps, labels, _ = stamped()
    generator = torch.Generator().manual_seed(0)
    assert shortcut_by_recurrence(Constant3(), images, maps, labels, generator) is None


class Brightest(nn.Module):
    """Says class 0 where anything is bright."""

    def forward(self, images: Tensor) -> Tensor:
        bright = 20 * (images.amax((1, 2, 3)) - 0.8)
        return torch.stack((bright, torch.zeros_like(bright), torch.zeros_like(bright)), 1)


def test_one_class_of_three_with_a_stamp_is_not_enough_without_masks() -> None:
    images, maps, labels, _ = stamped()
    images[labels > 0] = images[labels > 0].clamp(max=0.6) * 0.5 + 0.2
    maps[labels > 0] = 0
    generator = torch.Generator().manual_seed(0)
    assert find_recurring(images, maps, labels, generator)[0].recurs
    assert shortcut_by_recurrence(Brightest(), images, maps, labels, generator) is None


class Constant3(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([[3.0, 0.0, 0.0]]).expand(len(images), 3)


def accused(gain: float, classes: int = 3, marked: int | None = None) -> Shortcut | None:
    images, maps, labels, stamps = stamped(classes=classes, marked=marked)
    generator = torch.Generator().manual_seed(0)
    return shortcut_by_recurrence(StampReader(stamps, gain), images, maps, labels, generator)


def test_a_stamp_that_the_network_goes_by_is_named_with_what_it_is_worth() -> None:
    shortcut = accused(gain=10)
    assert shortcut is not None
    assert shortcut.patch
    assert shortcut.classes == 3
    # The first images of each class: all of them have it.
    assert shortcut.examples == {0: (0, 3, 6), 1: (1, 4, 7), 2: (2, 5, 8)}
    assert "the same in 100% of a class's images" in shortcut.why
    # Without the stamp all three classes are the same to the network.
    # One random place in six lies on it.
    assert "covering it costs 67% of confidence, where covering any other place costs 11%" in (
        shortcut.why
    )


def test_what_covering_a_stamp_costs_has_a_floor() -> None:
    # A gain of g is worth e^g / (e^g + 2) - 1/3. One random place in six lies on the stamp, which
    # leaves 0.0284 of 0.0341 and 0.0323 of 0.0388.
    assert accused(gain=0.15) is None
    assert accused(gain=0.17) is not None


@pytest.mark.parametrize(
    ("classes", "marked", "found"), [(5, 2, True), (6, 2, False), (6, 3, True), (2, 1, False)]
)
def test_stamps_count_in_four_of_ten_classes_and_in_no_fewer_than_two(
    classes: int, marked: int, found: bool
) -> None:
    shortcut = accused(gain=10, classes=classes, marked=marked)
    assert (shortcut is not None) == found
    assert shortcut is None or set(shortcut.examples) == set(range(marked))


def test_a_class_of_five_images_is_not_judged() -> None:
    images, maps, labels, _ = stamped()
    few = torch.cat([(labels == 0).nonzero()[:5, 0], (labels > 0).nonzero()[:, 0]])
    generator = torch.Generator().manual_seed(0)
    assert set(find_recurring(images[few], maps[few], labels[few], generator)) == {1, 2}
    few = torch.cat([(labels == 0).nonzero()[:MIN_OWN, 0], (labels > 0).nonzero()[:, 0]])
    assert set(find_recurring(images[few], maps[few], labels[few], generator)) == {0, 1, 2}


def test_a_patch_recurs_in_seven_of_ten_images() -> None:
    nothing = torch.empty(0)
    assert Recurring(0.7, nothing, nothing, nothing).recurs
    assert not Recurring(0.69, nothing, nothing, nothing).recurs


def test_a_patch_is_found_again_at_any_contrast_but_the_faintest() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.full((4, 3, 64, 64), 0.5)
    patch = torch.rand(1, 3, 8, 8, generator=generator)
    spread = float(patch.std(correction=0))
    for i, contrast in enumerate((1, -1, 0.09 / spread, 0.07 / spread)):
        images[i, :, 20:28, 30:38] = 0.5 + contrast * (patch[0] - 0.5)
    best, place = _matches(images, patch)
    assert best[0, [0, 2]].tolist() == pytest.approx([1, 1], abs=1e-3)
    assert float(best[0, 1]) < 0.8  # a negative is another patch
    assert float(best[0, 3]) < 0.8
    assert place[0, [0, 2]].tolist() == [20 * 57 + 30] * 2
    assert _matches(images[:1], 0.25 + patch / 2)[0].item() == pytest.approx(1, abs=1e-3)


def test_five_places_of_a_marked_stripe_are_looked_at_and_none_twice() -> None:
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = torch.zeros(1, 64, 64)
    maps[:, 30:34] = 1
    patches, source = _candidates(images, maps)
    assert len(patches) == CANDIDATES
    assert source.eq(0).all()
    windows = images[0].unfold(1, 8, 1).unfold(2, 8, 1).permute(1, 2, 0, 3, 4)
    places = []
    for patch in patches:
        ((row, column),) = (windows == patch).all(4).all(3).all(2).nonzero().tolist()
        assert 22 < row < 34  # it overlaps the stripe
        places.append((row, column))
    for i, (row, column) in enumerate(places):
        for other_row, other_column in places[:i]:
            assert max(abs(row - other_row), abs(column - other_column)) >= 4
    assert len({column // 16 for _, column in places}) > 1
    # A spot has room for five as well: four pixels apart is enough.
    maps[:] = 0
    maps[:, 30:32, 30:32] = 1
    assert len(_candidates(images, maps)[0]) == CANDIDATES


def test_bare_water_and_what_is_not_marked_is_not_looked_at() -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    images[0] = 0.5 + 0.1 * (images[0] - 0.5)
    assert not len(_candidates(images[:1], torch.ones(1, 64, 64))[0])
    images[0] = torch.tensor([0.2, 0.5, 0.8])[:, None, None]  # however blue it is
    assert not len(_candidates(images[:1], torch.ones(1, 64, 64))[0])
    assert not len(_candidates(images[1:], torch.zeros(1, 64, 64))[0])


@pytest.mark.parametrize(("noise", "found"), [(0.45, True), (0.75, False)])
def test_a_stamp_hidden_by_noise_does_not_recur(noise: float, found: bool) -> None:
    images, maps, labels, _ = stamped()
    generator = torch.Generator().manual_seed(1)
    images = torch.where(
        maps[:, None] == 1,
        (1 - noise) * images + noise * torch.rand(images.shape, generator=generator),
        images,
    )
    patches = find_recurring(images, maps, labels, torch.Generator().manual_seed(0)).values()
    assert any(patch.recurs for patch in patches) == found
