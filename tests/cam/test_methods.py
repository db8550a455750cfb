"""Each method's map of a 4x4 image worked out by hand, and what sets the methods apart."""

import math

import pytest
import torch
from torch import Tensor, nn

from fishcnn.cam.maps import class_activation_maps
from fishcnn.cam.methods import METHODS, SCORE_BATCH, CamMethod, Seen
from fishcnn.utils.errors import FishError

Square = list[list[float]]
EMPTY = torch.empty(0)


def network(*classes: tuple[Square, Square]) -> nn.Sequential:
    """Two 2x2 feature maps of a 4x4 image, and for each class the weights of their pixels.

    Map A holds the upper left pixel of each 2x2 square of the image's red channel, map B the
    lower right one. The weights are the gradients.
    """
    layer = nn.Conv2d(3, 2, 2, stride=2, bias=False)
    head = nn.Linear(8, len(classes), bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0, 0, 0] = 1
        layer.weight[1, 0, 1, 1] = 1
        head.weight.copy_(torch.tensor(classes).flatten(1))
    return nn.Sequential(layer, nn.Flatten(), head)


def image_of(a: Square, b: Square) -> Tensor:
    """The (1, 3, 4, 4) image with these feature maps."""
    image = torch.zeros(1, 3, 4, 4)
    image[0, 0, ::2, ::2] = torch.tensor(a)
    image[0, 0, 1::2, 1::2] = torch.tensor(b)
    return image


def upsampled(raw: Square) -> Tensor:
    """Bilinear from 2x2 to 4x4: each axis at 0, 1/4, 3/4 and 1 of the way. Maximum 1."""
    way = torch.tensor([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    big = way @ torch.tensor(raw, dtype=torch.float32) @ way.T
    return big / big.max()


def raw_maps(method: str, activations: Tensor, gradients: Tensor = EMPTY) -> Tensor:
    seen = Seen(activations, gradients, EMPTY, lambda _images, _originals: EMPTY)
    return METHODS[method].raw_maps(seen)


def one_map(model: nn.Module, image: Tensor, method: str, against: int | None = None) -> Tensor:
    """The map of class 0."""
    other = None if against is None else torch.tensor([against])
    target = torch.tensor([0])
    result = class_activation_maps(
        model, image, layers=["0"], method=method, targets=target, against=other
    )
    assert result.maps.shape == (1, 1, 4, 4)
    return result.maps[0, 0]


# A = 2 2   B = 0 1   gradients of A = 1  1   of B = 4 4
#     0 4       0 1                    0 -4        4 4
A: Square = [[2, 2], [0, 4]]
B: Square = [[0, 1], [0, 1]]
CLASS = ([[1.0, 1], [0, -4]], [[4.0, 4], [4, 4]])


@pytest.mark.parametrize(
    ("method", "raw"),
    [
        # Mean gradients -0.5 and 4: -0.5 A + 4 B = -1 3
        #                                           0 2
        ("gradcam", [[0, 3], [0, 2]]),
        # Sums of A and B are 8 and 2, so alpha is 1 / (2 + 1 * 8) and 1 / (2 + 4 * 2): 0.1 both.
        # Weights 0.1 * (1 + 1) and 0.1 * 4 * 4: 0.2 A + 1.6 B = 0.4 2
        #                                                         0   2.4
        ("gradcam++", [[0.4, 2], [0, 2.4]]),
        # A * gradients = 2   2   B * gradients = 0 4
        #                 0 -16                   0 4
        ("hirescam", [[2, 6], [0, 0]]),
        # The same without the -4.
        ("layercam", [[2, 6], [0, 4]]),
    ],
)
def test_the_map_by_gradients_is_the_one_worked_out_by_hand(method: str, raw: Square) -> None:
    got = one_map(network(CLASS), image_of(A, B), method)
    torch.testing.assert_close(got, upsampled(raw))


def test_the_eigen_cam_is_the_one_worked_out_by_hand() -> None:
    # A = 3 1   centred 2  0   B = 3 0   centred 2 -1   They vary alike (squares sum to 6 each) and
    #     0 0          -1 -1       1 0           0 -1   together (products sum to 5): the component
    # is (1, 1), and the map A + B, centred = 4 -1
    #                                        -1 -2
    model = network(CLASS)
    image = image_of([[3, 1], [0, 0]], [[3, 0], [1, 0]])
    torch.testing.assert_close(one_map(model, image, "eigencam"), upsampled([[4, 0], [0, 0]]))
    # Where features fall, the component points to where they are strong all the same.
    image = image_of([[0, 2], [3, 3]], [[0, 3], [2, 3]])
    torch.testing.assert_close(one_map(model, image, "eigencam"), upsampled([[0, 1], [1, 2]]))


def test_the_score_cam_is_the_one_worked_out_by_hand() -> None:
    # A is 4 in its upper left corner, B in its lower right one. Each masks the other's pixel out
    # and leaves its own at 4, which is worth ln 3 to class 0 in A and nothing in B: weights 3/4
    # and 1/4, and 0.75 A + 0.25 B.
    weight = math.log(3) / 4
    model = network(([[weight, 0], [0, 0]], [[0, 0], [0, 0]]), ([[0, 0], [0, 0]], [[0, 0], [0, 0]]))
    image = image_of([[4, 0], [0, 0]], [[0, 0], [0, 4]])
    torch.testing.assert_close(one_map(model, image, "scorecam"), upsampled([[3, 0], [0, 1]]))
    # Halfway to the right the mask is down to 1/4: there A is worth 4 / 4 times its weight.
    model = network(([[0, weight], [0, 0]], [[0, 0], [0, 0]]))
    image = image_of([[8, 4], [0, 4]], [[0, 0], [0, 4]])
    # A's mask is A / 8 upsampled: at its upper right pixel 0.75 * 0.5 + 0.25 = 0.625, which leaves
    # 2.5 of 4. B's mask is 0 in the upper row.
    share = 3 ** (2.5 / 4)
    share /= share + 1
    raw: Square = [[8 * share, 4 * share], [0, 4]]
    torch.testing.assert_close(one_map(model, image, "scorecam"), upsampled(raw))


@pytest.mark.parametrize(
    ("method", "raw"),
    [
        # Less class 1, the gradients of A are 1 -1 and of B 4 0: means 0 and 2, so 2 B.
        #                                      0  0          4 0
        ("gradcam", [[0, 2], [0, 2]]),
        # Where they are positive, alpha is 1 / 10 again: 0.1 A + 0.1 (4 + 4) B
        ("gradcam++", [[0.2, 1], [0, 1.2]]),
        # A * gradients = 2 -2   B * gradients = 0 0
        #                 0  0                   0 0
        ("hirescam", [[2, 0], [0, 0]]),
        ("layercam", [[2, 0], [0, 0]]),
    ],
)
def test_against_another_class_only_the_difference_counts(method: str, raw: Square) -> None:
    other = ([[0.0, 2], [0, -4]], [[0.0, 4], [0, 4]])
    got = one_map(network(CLASS, other), image_of(A, B), method, against=1)
    torch.testing.assert_close(got, upsampled(raw))
    itself = one_map(network(CLASS, other), image_of(A, B), method, against=0)
    assert itself.eq(0).all()


def test_score_cam_against_another_class_weighs_by_the_difference() -> None:
    # As worked out above, with ln 3 split into ln 6 for class 0 and ln 2 for class 1.
    weights = (math.log(6) / 4, math.log(2) / 4)
    model = network(*(([[w, 0], [0, 0]], [[0, 0], [0, 0]]) for w in weights))
    image = image_of([[4, 0], [0, 0]], [[0, 0], [0, 4]])
    got = one_map(model, image, "scorecam", against=1)
    torch.testing.assert_close(got, upsampled([[3, 0], [0, 1]]))
    torch.testing.assert_close(one_map(model, image, "scorecam"), upsampled([[6, 0], [0, 1]]))
    assert one_map(model, image, "scorecam", against=0).eq(0).all()


def test_eigen_cam_has_nothing_to_hold_against_another_class() -> None:
    with pytest.raises(FishError, match=r"method=eigencam: .* cannot take against"):
        one_map(network(CLASS, CLASS), image_of(A, B), "eigencam", against=1)


def test_an_unknown_method_is_named_together_with_those_that_exist() -> None:
    assert tuple(METHODS) == (
        "gradcam",
        "gradcam++",
        "hirescam",
        "layercam",
        "eigencam",
        "scorecam",
    )
    with pytest.raises(
        FishError, match=r"method=gradcam\+: choose one of .* gradcam\+\+, hirescam,"
    ):
        one_map(network(CLASS), image_of(A, B), "gradcam+")


@pytest.mark.parametrize("method", METHODS)
def test_one_broken_image_does_not_break_the_others(method: str) -> None:
    model, image = network(CLASS), image_of(A, B)
    broken = image.clone()
    broken[0, 0, 0, 0] = torch.nan
    maps = class_activation_maps(
        model, torch.cat([image, broken]), layers=["0"], method=method, targets=torch.tensor([0, 0])
    ).maps
    torch.testing.assert_close(maps[0, 0], one_map(model, image, method))
    assert maps[1].isnan().any()


def test_grad_cam_plus_plus_is_finite_where_its_denominator_vanishes() -> None:
    activations = torch.tensor([[[[-2.0, 0.0]], [[1.0, 3.0]]]])
    gradients = torch.ones(1, 2, 1, 2)
    # Channel 0 sums to -2, and 2 + 1 * -2 is 0: it has no weight. Channel 1 weighs 2 / (2 + 4).
    expected = torch.tensor([[[1.0, 3.0]]]) / 3
    torch.testing.assert_close(raw_maps("gradcam++", activations, gradients), expected)


def test_grad_cam_plus_plus_does_not_depend_on_how_small_the_gradients_are() -> None:
    generator = torch.Generator().manual_seed(0)
    activations = torch.rand(2, 8, 4, 4, generator=generator)
    gradients = torch.randn(2, 8, 4, 4, generator=generator)
    expected = raw_maps("gradcam++", activations, gradients)
    # Features a million times as large with gradients a millionth are the same network.
    got = raw_maps("gradcam++", activations * 2**20, gradients / 2**20)
    torch.testing.assert_close(got, expected)


def test_eigen_cam_has_no_use_for_what_is_the_same_everywhere() -> None:
    generator = torch.Generator().manual_seed(1)
    activations = torch.rand(3, 8, 4, 4, generator=generator)
    lifted = activations + torch.rand(3, 8, 1, 1, generator=generator) * 10
    torch.testing.assert_close(
        raw_maps("eigencam", lifted), raw_maps("eigencam", activations), atol=1e-5, rtol=0
    )
    assert raw_maps("eigencam", activations).mean((1, 2)).abs().max() < 1e-6
    assert raw_maps("eigencam", torch.ones(1, 8, 4, 4)).eq(0).all()


def test_score_cam_classifies_a_masked_image_for_each_channel_in_bounded_batches() -> None:
    torch.manual_seed(2)
    layer = nn.Conv2d(3, 30, 3)
    model = nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(30, 4))
    batches: list[int] = []
    model.register_forward_hook(lambda _m, args, _out: batches.append(len(args[0])))
    class_activation_maps(model, torch.rand(5, 3, 8, 8), layers=["0"], method="scorecam")
    assert batches[0] == 5
    assert sum(batches[1:]) == 5 * 30
    assert max(batches[1:]) == SCORE_BATCH


def test_eigen_cam_looks_along_the_component_even_if_features_oppose_each_other() -> None:
    # A and B vary along (4, -3): where A is strong there are more features than where B is.
    model, image = network(CLASS), image_of([[4, 0], [0, 0]], [[0, 3], [3, 3]])
    torch.testing.assert_close(one_map(model, image, "eigencam"), upsampled([[1, 0], [0, 0]]))


def test_channels_of_zeros_change_no_eigen_cam() -> None:
    activations = torch.rand(3, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([activations, torch.zeros(3, 5, 2, 2)], 1)  # more channels than pixels
    got, expected = raw_maps("eigencam", padded), raw_maps("eigencam", activations)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_score_cam_scales_each_channel_between_its_lowest_and_its_highest_value() -> None:
    # A is 4 everywhere and masks all. B's mask leaves its lower right pixel at 3, which is worth
    # ln 3: weights 1/4 and 3/4, and 0.25 A + 0.75 B.
    model = network(([[0, 0], [0, 0]], [[0, 0], [0, math.log(3) / 3]]))
    image = image_of([[4, 4], [4, 4]], [[1, 1], [1, 3]])
    raw: Square = [[1.75, 1.75], [1.75, 3.25]]
    torch.testing.assert_close(one_map(model, image, "scorecam"), upsampled(raw))


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_method_does_what_its_record_says(method: CamMethod) -> None:
    torch.manual_seed(3)
    layer = nn.Conv2d(3, 6, 3)
    model = nn.Sequential(layer, nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 4))
    images = torch.rand(5, 3, 8, 8)
    seen: list[int] = []
    graphs: list[bool] = []

    def watch(_model: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        seen.append(len(args[0]))
        graphs.append(output.requires_grad)

    model.register_forward_hook(watch)
    first, second = (
        class_activation_maps(
            model, images, layers=["1"], method=method.name, targets=torch.full((5,), target)
        ).maps
        for target in (0, 1)
    )
    assert sum(seen) == 2 * 5 * (1 + 6 * method.passes_per_channel)
    assert any(graphs) == method.needs_gradients
    assert torch.equal(first, second) == (not method.looks_at_class)
    assert method.paper
