import math

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from fishcnn.cam.faithfulness import (
    Curves,
    Faithfulness,
    Scores,
    average_drop_and_increase,
    centre_maps,
    deletion_insertion,
    faithfulness,
    random_maps,
)
from fishcnn.cam.scoring import class_probabilities


class Square(nn.Module):
    """The bluer the 8x8 pixels in the upper left corner, the surer it is of class 1."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.9)

    def forward(self, images: Tensor) -> Tensor:
        blue = images[:, 2, :8, :8].mean((1, 2))
        return self.dropout(torch.stack((torch.zeros_like(blue), 8 * blue - 4), 1))


class Watching(nn.Module):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        return images.mean((2, 3))


def noise(count: int = 12) -> Tensor:
    """Noise with a blue square in the corner that the network looks at."""
    images = 0.3 * torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images[:, 2, :8, :8] = 1
    return images


def corner(count: int = 12) -> Tensor:
    maps = torch.zeros(count, 32, 32)
    maps[:, :8, :8] = 1
    return maps


ONES = torch.ones(12, dtype=torch.int64)


def test_deletion_starts_with_the_image_and_insertion_ends_with_it() -> None:
    images = noise()
    sure = class_probabilities(Square().eval(), images)[:, 1]
    curves = deletion_insertion(Square(), images, corner(), ONES, steps=4)
    assert curves.deletion.shape == curves.insertion.shape == (12, 5)
    assert torch.allclose(curves.deletion[:, 0], sure)
    assert torch.allclose(curves.insertion[:, 4], sure)
    # The marked corner is a sixteenth: gone, or back, after the first of the four steps.
    bare = torch.sigmoid(8 * images.mean((2, 3))[:, 2] - 4)
    assert torch.allclose(curves.deletion[:, 1:], bare[:, None].expand(12, 4), atol=1e-5)
    assert torch.allclose(curves.insertion[:, 1:], sure[:, None].expand(12, 4))
    # A blurred blue corner is still a little blue, but less so.
    assert (curves.insertion[:, 0] > 1.5 * bare).all()
    assert float(curves.insertion[:, 0].max()) < 0.95


def test_the_area_below_a_curve_is_that_of_its_trapezoids() -> None:
    curves = Curves(torch.tensor([[1.0, 0.5, 0.0]]), torch.tensor([[0.0, 1.0, 1.0]]))
    assert curves.deletion_area.tolist() == [0.5]
    assert curves.insertion_area.tolist() == [0.75]


def test_an_empty_map_takes_pixels_away_everywhere_rather_than_from_the_top() -> None:
    images = torch.ones(1, 3, 32, 32)
    images[:, :, 16:] = 0.0
    target = torch.zeros(1, dtype=torch.int64)
    watching = Watching()
    deletion_insertion(watching, images, torch.zeros(1, 32, 32), target, steps=2)
    half_gone = watching.seen[2][0, 0] == 0.5  # the mean colour
    assert int(half_gone.sum()) == 512
    assert 200 < int(half_gone[:16].sum()) < 312


def test_average_drop_is_the_share_of_confidence_that_the_marked_part_alone_loses() -> None:
    images = noise()
    kept = average_drop_and_increase(Square(), images, corner(), ONES)
    assert kept.drop.tolist() == [0] * 12
    lost = average_drop_and_increase(Square(), images, 1 - corner(), ONES)
    before, after = (1 / (1 + math.exp(x)) for x in (-4, 4))  # logits 4 and -4
    assert lost.drop.tolist() == pytest.approx([(before - after) / before] * 12, rel=1e-5)
    assert lost.increase.tolist() == [0] * 12
    other = average_drop_and_increase(Square(), images, 1 - corner(), 0 * ONES)
    assert other.increase.tolist() == [1] * 12
    assert other.drop.tolist() == [0] * 12


def test_a_map_of_what_the_network_looks_at_is_called_faithful() -> None:
    result = faithfulness(Square(), noise(), corner(), ONES, torch.Generator().manual_seed(1))
    assert result.verdict.startswith("Faithful: ")
    assert result.verdict.endswith("12 images (deletion and insertion, Petsiuk et al. 2018).")
    assert "either baseline" in result.drop_verdict
    assert "Chattopadhay et al. 2018" in result.drop_verdict
    assert (result.maps.deletion < result.random.deletion).all()
    assert (result.maps.insertion > result.centre.insertion).all()


def test_a_map_of_the_opposite_corner_is_not() -> None:
    maps = corner().flip(1, 2)
    result = faithfulness(Square(), noise(), maps, ONES, torch.Generator().manual_seed(1))
    assert result.verdict.startswith("Not faithful: ")
    assert "no more confidence than a random part" in result.drop_verdict


def test_a_map_no_better_than_the_centre_is_not_called_faithful() -> None:
    """Where all fish are in the middle, pointing at the middle is no explanation."""
    images = noise().roll((12, 12), (2, 3))

    class Middle(Square):
        def forward(self, batch: Tensor) -> Tensor:
            return super().forward(batch.roll((-12, -12), (2, 3)))

    maps = centre_maps((12, 32, 32))
    result = faithfulness(Middle(), images, maps, ONES, torch.Generator().manual_seed(1))
    assert result.verdict.startswith("Better than chance, but not clearly better")


def test_few_images_give_numbers_but_no_verdict() -> None:
    result = faithfulness(Square(), noise(3), corner(3), ONES[:3], torch.Generator().manual_seed(1))
    assert result.verdict.startswith("Too few images for a verdict. ")
    assert result.drop_verdict.startswith("Too few images for a verdict. ")


def test_random_maps_that_happen_to_do_well_are_rarely_called_faithful() -> None:
    verdicts = []
    for seed in range(20):
        maps = random_maps((12, 32, 32), torch.Generator().manual_seed(100 + seed))
        generator = torch.Generator().manual_seed(seed)
        verdicts.append(faithfulness(Square(), noise(), maps, ONES, generator, steps=4).verdict)
    assert sum(verdict.startswith("Faithful") for verdict in verdicts) <= 2


def test_baselines_have_the_range_of_a_map_and_random_ones_follow_the_generator() -> None:
    one = random_maps((3, 20, 24), torch.Generator().manual_seed(0))
    assert one.shape == (3, 20, 24)
    assert one.amax((1, 2)).tolist() == [1, 1, 1]
    assert float(one.min()) >= 0
    assert torch.equal(one, random_maps((3, 20, 24), torch.Generator().manual_seed(0)))
    assert not torch.equal(one, random_maps((3, 20, 24), torch.Generator().manual_seed(1)))
    blob = centre_maps((2, 21, 21))
    assert blob.shape == (2, 21, 21)
    assert int(blob[0].argmax()) == 10 * 21 + 10
    assert float(blob[0, 10, 10]) == 1
    assert blob[1, 0, [0, 10, 20]].tolist() == pytest.approx(
        [math.exp(-4), math.exp(-2), math.exp(-4)]
    )


def test_measuring_leaves_the_network_in_training_as_it_was() -> None:
    model = Square().train()
    faithfulness(model, noise(), corner(), ONES, torch.Generator(), steps=2)
    assert model.training
    assert model.dropout.training


def scores(quality: Tensor, drop: Tensor) -> Scores:
    zeros = torch.zeros_like(quality)
    return Scores(zeros, quality, drop, zeros, Curves(zeros, zeros))


def differing(mean: float, around: float, count: int = 8) -> Tensor:
    """Differences with this mean, half of them above it by this much and half of them below."""
    return mean + around * (1 - 2 * (torch.arange(count) % 2)).float()


# Of 8 images that are 1 above or below, the standard error is sqrt(8 / 7) / sqrt(8) = 0.378, and
# 2.5 of them are 0.945.
@pytest.mark.parametrize(
    ("to_random", "to_centre", "verdict"),
    [
        ((0.1, 0.105), (0.1, 0.105), "Faithful: "),
        ((0.1, 0.107), (0.1, 0.0), "Not faithful: "),
        ((-0.1, 0.0), (0.1, 0.0), "Not faithful: "),
        ((0.1, 0.105), (0.1, 0.107), "Better than chance, but not clearly better than pointing"),
        ((0.1, 0.0), (-0.1, 0.107), "Better than chance, but not clearly better than pointing"),
        ((0.1, 0.0), (-0.1, 0.105), "Better than chance, but the image's centre matters more"),
    ],
)
def test_a_difference_within_two_and_a_half_standard_errors_is_none(
    to_random: tuple[float, float], to_centre: tuple[float, float], verdict: str
) -> None:
    none = torch.zeros(8)
    result = Faithfulness(
        scores(none, none),
        scores(-differing(*to_random), differing(*to_random)),
        scores(-differing(*to_centre), differing(*to_centre)),
    )
    assert result.verdict.startswith(verdict)
    kept = "The marked part alone keeps "
    if verdict.startswith("Not"):
        assert result.drop_verdict.startswith(f"{kept}no more confidence than a random part")
    elif verdict.startswith("Faithful"):
        assert result.drop_verdict.startswith(f"{kept}more confidence than either baseline")
    else:
        assert result.drop_verdict.startswith(f"{kept}more confidence than a random part, not ")


def test_eight_images_are_enough_for_a_verdict_and_seven_are_not() -> None:
    for count, few in ((7, True), (8, False)):
        none, better = torch.zeros(count), torch.full((count,), 0.1)
        result = Faithfulness(scores(none, none), *[scores(-better, better)] * 2)
        for verdict in (result.verdict, result.drop_verdict):
            assert verdict.startswith("Too few images for a verdict. ") == few


def test_the_verdicts_name_the_mean_of_each_kind_of_map() -> None:
    kinds = [
        Scores(*(torch.full((9,), value) for value in values), Curves(ONES, ONES))
        for values in ((0.1, 0.9, 0.02, 0.3), (0.4, 0.6, 0.25, 0.1), (0.3, 0.5, 0.5, 0.0))
    ]
    result = Faithfulness(*kinds)
    meaning, numbers = (
        "what the network cannot do without",
        ("taken away 0.10 / 0.40 / 0.30, while it is put back 0.90 / 0.60 / 0.50"),
    )
    assert 0 < result.verdict.find(meaning) < result.verdict.index(numbers)
    meaning, numbers = (
        "loses little of its confidence",
        ("drop 2% / 25% / 50%, higher confidence in 30% / 10% / 0% of 9 images"),
    )
    assert 0 < result.drop_verdict.find(meaning) < result.drop_verdict.index(numbers)


def test_the_mean_curves_are_those_over_the_images_and_have_the_mean_area() -> None:
    generator = torch.Generator().manual_seed(1)
    result = faithfulness(Square(), noise(), corner(), ONES, generator, steps=4)
    for kind in (result.maps, result.random, result.centre):
        for curve, areas in zip(kind.mean_curves, (kind.deletion, kind.insertion), strict=True):
            assert curve.shape == (5,)
            assert float((curve[1:] + curve[:-1]).mean() / 2) == pytest.approx(float(areas.mean()))


def test_insertion_starts_from_a_gaussian_blur_of_a_twelfth_of_the_side() -> None:
    images = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    watching = Watching()
    deletion_insertion(watching, images, torch.zeros(2, 48, 48), ONES[:2], steps=1)
    # Two standard deviations of 4 pixels each way; at the edges torchvision mirrors the image.
    expected = gaussian_blur(images, kernel_size=[17, 17], sigma=[4.0, 4.0])
    torch.testing.assert_close(watching.seen[1][:, :, 8:-8, 8:-8], expected[:, :, 8:-8, 8:-8])
    assert torch.allclose(
        watching.seen[1][:, :, :, 0].mean(), images[:, :, :, :4].mean(), atol=0.05
    )


def test_a_difference_that_is_sure_but_too_small_to_see_is_not_called_faithful() -> None:
    """Of a network with nearly the same confidence in everything, any tiny effect is sure."""
    none, tiny = torch.zeros(20), differing(0.003, 0.001, 20)
    result = Faithfulness(scores(none, none), *[scores(-tiny, tiny)] * 2)
    assert result.verdict.startswith("Not faithful: ")
    assert "the map gains 0.003 ± 0.001 over random maps and 0.003 ± 0.001" in result.verdict
    assert "no more confidence than a random part" in result.drop_verdict


def test_the_confidence_in_whole_images_and_in_nothing_is_that_of_the_curves() -> None:
    result = faithfulness(Square(), noise(), corner(), ONES, torch.Generator().manual_seed(1))
    whole, bare = result.ends
    sure = class_probabilities(Square().eval(), noise())[:, 1]
    assert whole == pytest.approx(float(sure.mean()), abs=1e-5)
    assert bare < 0.5 < whole
