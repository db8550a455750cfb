"""Fits of a few steps, and layers whose output is not laid out as in other networks."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import convnext_tiny, swin_t, swin_v2_t, vit_b_16

from fishcnn.cam.channel_axis import FIRST, LAST, channel_axis
from fishcnn.cam.maps import class_activation_maps, grad_cam
from fishcnn.cam.methods import METHODS
from fishcnn.models.networks.cnn import FishCNN
from fishcnn.models.optimization import OPTIMIZERS, SCHEDULERS, check_scheduler
from fishcnn.utils.errors import ArgumentError

PEAK = 0.01


def rates(scheduler: dict[str, object], steps: int, optimizer: str = "adam") -> list[float]:
    """The learning rate of each step of a fit whose validation loss never falls."""
    weight = nn.Parameter(torch.zeros(1))
    built = OPTIMIZERS.build({"name": optimizer, "lr": PEAK}, [weight], fused=False)
    schedule = SCHEDULERS.build(scheduler, built, steps)
    taken = []
    for _ in range(steps):
        taken.append(built.param_groups[0]["lr"])
        built.step()
        if scheduler["name"] == "plateau":
            schedule.step(1.0)  # type: ignore[arg-type]
        else:
            schedule.step()
    return taken


@pytest.mark.parametrize("pct_start", [0.01, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_one_cycle_rises_to_a_peak_and_falls_in_any_number_of_steps(
    optimizer: str, pct_start: float
) -> None:
    for steps in range(1, 13):
        taken = rates({"name": "onecycle", "pct_start": pct_start}, steps, optimizer)
        assert all(math.isfinite(rate) and 0 < rate <= PEAK * 1.0001 for rate in taken)
        top = taken.index(max(taken))
        assert taken[: top + 1] == sorted(taken[: top + 1])
        assert taken[top:] == sorted(taken[top:], reverse=True)
        assert taken[top] >= PEAK / 2
        if steps > 1:
            assert taken[-1] < PEAK / 100


@pytest.mark.parametrize(
    "scheduler",
    [
        {"name": "cosine"},
        {"name": "cosine", "eta_min": PEAK / 10},
        {"name": "cosine", "eta_min": PEAK},
        {"name": "plateau", "patience": 0},
        {"name": "plateau", "patience": 3},
        {"name": "none"},
    ],
    ids=str,
)
def test_the_other_schedules_never_rise(scheduler: dict[str, object]) -> None:
    for steps in range(1, 13):
        taken = rates(scheduler, steps)
        assert taken[0] == pytest.approx(PEAK)
        assert taken == sorted(taken, reverse=True)
        assert taken[-1] >= 0


@pytest.mark.parametrize("eta_min", [2 * PEAK, -1e-3, math.nan])
def test_a_lowest_rate_above_the_highest_is_refused(eta_min: float) -> None:
    with pytest.raises(
        ArgumentError, match=r"eta_min=.*(choose from 0 to optimizer.lr|must be a number from 0)"
    ):
        check_scheduler({"name": "cosine", "eta_min": eta_min}, lr=PEAK)


class LastChannels(nn.Module):
    """A network whose middle is (N, h, w, C), with the maps of a Conv2d in another order."""

    def __init__(self, channels: int = 4, stride: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv2d(3, channels, 3, stride, padding=1), nn.Softplus())
        self.turned = nn.Identity()
        self.head = nn.Linear(channels, 3)

    def forward(self, images: Tensor) -> Tensor:
        turned = self.turned(self.first(images).permute(0, 2, 3, 1))
        return self.head((turned**2).mean((1, 2)))


def noise(count: int, height: int, width: int) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(16, 16), (8, 8), (12, 20)], ids=str)
def test_maps_of_channels_that_come_last_are_those_of_channels_that_come_first(
    method: str, size: tuple[int, int]
) -> None:
    # At 8 x 8, height, width and channels are all four.
    model = LastChannels().eval()
    maps = class_activation_maps(
        model, noise(2, *size), layers=["first", "turned"], method=method
    ).maps
    torch.testing.assert_close(maps[:, 0], maps[:, 1], atol=1e-4, rtol=1e-4)
    assert maps.amax() == 1


@pytest.mark.parametrize("build", [swin_t, swin_v2_t])
def test_a_swin_transformers_map_is_not_transposed(build: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    model = build(weights=None, num_classes=3).eval()
    images = noise(1, 64, 64)
    kept = {}

    def keep(_layer: nn.Module, _args: object, output: Tensor) -> Tensor:
        kept["maps"] = output.detach().requires_grad_()
        return kept["maps"]

    with model.features[5].register_forward_hook(keep):
        logits = model(images)
    activations = kept["maps"]
    (gradients,) = torch.autograd.grad(logits.amax(1).sum(), activations)
    by_hand = (gradients.mean((1, 2), keepdim=True) * activations).sum(3).relu()[:, None]
    by_hand = nn.functional.interpolate(by_hand, (64, 64), mode="bilinear")[:, 0]
    maps = grad_cam(model, images, layer="features.5").maps
    torch.testing.assert_close(maps, by_hand / by_hand.amax(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("layer", "axis"), [("features.1.0.block.1", LAST), ("features.1.0.block.0", FIRST)]
)
def test_both_orders_are_found_inside_one_block(layer: str, axis: int) -> None:
    model = convnext_tiny(weights=None, num_classes=3).eval()
    module = model.get_submodule(layer)
    shape = torch.Size((1, 96, 16, 16) if axis == FIRST else (1, 16, 16, 96))
    assert channel_axis(model, module, shape, noise(1, 64, 64)) == axis


def test_a_block_of_as_many_channels_as_pixels_is_read_as_ever() -> None:
    model = FishCNN(
        num_classes=3, image_size=16, blocks=2, base_channels=8, max_channels=8,
        head="flatten", hidden=4, dropout=0.0,
    ).eval()  # fmt: skip
    images = noise(1, 16, 16)
    assert channel_axis(model, model.blocks[0], torch.Size((1, 8, 8, 8)), images) == FIRST


def test_a_convolution_that_ends_in_channels_last_is_not_transposed() -> None:
    # 96 channels of 96 x 96.
    model = swin_t(weights=None, num_classes=3).eval()
    shape = torch.Size((1, 96, 96, 96))
    assert channel_axis(model, model.features[0], shape, noise(1, 384, 384)) == LAST
    assert channel_axis(model, model.features[0][0], shape, noise(1, 384, 384)) == FIRST


class Counted(nn.Sequential):
    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(images)


@pytest.mark.parametrize(("channels", "runs"), [(5, 1), (8, 2)])
def test_looking_for_the_channels_leaves_no_trace_and_costs_nothing_where_they_are_sure(
    channels: int, runs: int
) -> None:
    torch.manual_seed(0)
    model = Counted(
        nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.Dropout(0.5),
        nn.Flatten(), nn.Linear(64 * channels, 3),
    )  # fmt: skip
    model[1].eval()
    before = {name: part.clone() for name, part in model.state_dict().items()}
    random = torch.get_rng_state()
    grad_cam(model, noise(2, 8, 8), layer="0")
    assert model.calls == runs
    assert [part.training for part in model] == [True, False, True, True, True]
    assert all(not part._forward_hooks for part in model.modules())
    torch.testing.assert_close(model.state_dict(), before, atol=0, rtol=0)
    assert torch.equal(torch.get_rng_state(), random)


class Odd(nn.Module):
    """A network with a layer that gives something else than feature maps."""

    def __init__(self, output: Callable[[Tensor], object]) -> None:
        super().__init__()

        class Layer(nn.Module):
            def forward(self, maps: Tensor) -> object:
                return output(maps)

        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.odd = Layer()

    def forward(self, images: Tensor) -> Tensor:
        maps = self.conv(images)
        self.odd(maps)
        return maps.mean((2, 3))


@pytest.mark.parametrize(
    "output",
    [
        lambda maps: (maps, maps),
        lambda maps: {"maps": maps},
        lambda maps: maps[:, :, None],
        lambda maps: maps.flatten(2).mT,
        lambda maps: maps.flatten(2).mT[:, None] @ maps.flatten(2)[:, None],  # tokens x tokens
        lambda maps: maps.unfold(2, 4, 4).flatten(0, 1)[:, :, :, None],
        lambda maps: maps.flatten(1)[:, None, None],
    ],
    ids=["tuple", "dict", "video", "tokens", "attention", "windows", "vector"],
)
def test_what_is_no_feature_maps_is_refused_in_words(output: Callable[[Tensor], object]) -> None:
    wanted = "gives .*, not feature maps .N, channels, height, width. or .N, height, width, channel"
    with pytest.raises(ArgumentError, match=wanted):
        grad_cam(Odd(output).eval(), noise(2, 8, 8), layer="odd")


def test_a_vision_transformers_tokens_are_refused() -> None:
    model = vit_b_16(weights=None, image_size=32, num_classes=3).eval()
    with pytest.raises(ArgumentError, match=r"gives \(1, 5, 768\), not feature maps"):
        grad_cam(model, noise(1, 32, 32), layer="encoder.layers.encoder_layer_11")
