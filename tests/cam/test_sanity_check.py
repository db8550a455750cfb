import pytest
import torch
from torch import Tensor, nn

from fishcnn.cam.maps import grad_cam
from fishcnn.cam.sanity_check import (
    Depth,
    Randomisation,
    randomisation_test,
    rank_correlation,
    ranks,
)
from fishcnn.models.networks.cnn import FishCNN
from fishcnn.utils.errors import FishError


def test_ties_share_their_mean_rank() -> None:
    values = torch.tensor([[30.0, 10.0, 20.0, 20.0], [5.0, 5.0, 5.0, 1.0]])
    assert ranks(values).tolist() == [[3, 0, 1.5, 1.5], [2, 2, 2, 0]]


def test_rank_correlation_is_that_worked_out_by_hand() -> None:
    one = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])
    # Squared rank differences 1 + 1 + 1 + 1 + 0: 1 - 6 * 4 / (5 * 24) = 0.8.
    assert rank_correlation(one, torch.tensor([[20.0, 10.0, 40.0, 30.0, 99.0]])).item() == (
        pytest.approx(0.8)
    )
    assert rank_correlation(one, one.exp()).item() == pytest.approx(1)
    assert rank_correlation(one, -one).item() == pytest.approx(-1)
    # With ties: ranks 0.5, 0.5, 2 against 0, 1, 2; deviations -.5, -.5, 1 and -1, 0, 1.
    tied = rank_correlation(torch.tensor([[7.0, 7.0, 9.0]]), torch.tensor([[1.0, 2.0, 3.0]]))
    assert tied.item() == pytest.approx(1.5 / (1.5 * 2) ** 0.5)
    assert rank_correlation(one, torch.ones(1, 5)).item() == 0
    assert rank_correlation(one[:, :2], one[:, 3:]).item() == pytest.approx(1)


@pytest.fixture
def network() -> FishCNN:
    torch.manual_seed(0)
    return FishCNN(
        num_classes=4,
        image_size=32,
        blocks=2,
        base_channels=8,
        max_channels=16,
        head="flatten",
        hidden=8,
        dropout=0.5,
    )


IMAGES = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
TARGETS = torch.arange(6) % 4


def cam(model: nn.Module, images: Tensor) -> Tensor:
    return grad_cam(model, images, layer="blocks.1.2", targets=TARGETS).maps


def brightness(model: nn.Module, images: Tensor) -> Tensor:
    """What many a pretty explanation is: an image of the image."""
    return images.mean(1)


def test_layers_are_forgotten_from_the_head_down_with_the_norm_behind_them(
    network: FishCNN,
) -> None:
    seen: list[dict[str, Tensor]] = []

    def maps(model: nn.Module, images: Tensor) -> Tensor:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return cam(model, images)

    result = randomisation_test(network, IMAGES, maps, draws=1)
    names = ["head.4", "head.1", "blocks.1.0", "blocks.0.0"]
    assert [depth.layer for depth in result.depths] == names
    changed = [
        {key.rpartition(".")[0] for key in seen[0] if not torch.equal(seen[0][key], after[key])}
        for after in seen[1:]
    ]
    assert changed[0] == {"head.4"}
    assert changed[1] == {"head.4", "head.1"}
    assert changed[2] == {"head.4", "head.1", "blocks.1.0", "blocks.1.1"}
    assert changed[3] == changed[2] | {"blocks.0.0", "blocks.0.1"}


def test_forgotten_batch_norms_have_statistics_that_fit_their_new_weights(
    network: FishCNN,
) -> None:
    spread: list[float] = []

    def maps(model: nn.Module, images: Tensor) -> Tensor:
        with torch.no_grad():
            spread.append(float(model.blocks(images).std()))  # type: ignore[operator]
        assert not any(module.training for module in model.modules()) or model is network
        return cam(model, images)

    randomisation_test(network.eval(), IMAGES, maps, draws=1)
    assert 0.3 < spread[-1] < 3  # of rectified and pooled normalised values


def test_a_map_that_shows_the_image_fails(network: FishCNN) -> None:
    result = randomisation_test(network, IMAGES, brightness)
    assert [depth.correlation for depth in result.depths] == pytest.approx([1] * 4)
    assert result.verdict.startswith("Fails: ")
    assert result.verdict.endswith("6 images (Adebayo et al. 2018).")


def test_grad_cam_passes(network: FishCNN) -> None:
    result = randomisation_test(network, IMAGES, cam, draws=5)
    assert abs(result.depths[-1].correlation) < 0.3
    assert result.verdict.startswith("Passes: ")
    assert result.images == 6


def test_the_network_and_the_random_state_are_left_alone(network: FishCNN) -> None:
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    one = randomisation_test(network, IMAGES, cam, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert one == randomisation_test(network, IMAGES, cam, seed=3)
    assert one != randomisation_test(network, IMAGES, cam, seed=4)


def test_a_module_that_cannot_reset_itself_has_its_parameters_shuffled() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.arange(64.0).reshape(8, 8))

        def forward(self, images: Tensor) -> Tensor:
            return images

    model = Scale()
    weights: list[Tensor] = []

    def maps(changed: nn.Module, images: Tensor) -> Tensor:
        assert isinstance(changed, Scale)
        weights.append(changed.weight.detach().clone())
        return changed.weight.detach().expand(2, 8, 8)

    result = randomisation_test(model, IMAGES[:2], maps, draws=1)
    assert sorted(weights[1].flatten().tolist()) == list(range(64))
    assert abs(result.depths[0].correlation) < 0.5


def test_empty_maps_are_an_error_rather_than_a_pass(network: FishCNN) -> None:
    with pytest.raises(FishError, match="every map is empty"):
        randomisation_test(network, IMAGES, lambda _, images: torch.zeros(6, 32, 32))


def test_images_without_a_map_are_left_out(network: FishCNN) -> None:
    def maps(model: nn.Module, images: Tensor) -> Tensor:
        found = brightness(model, images).clone()
        found[:2] = 0
        return found

    result = randomisation_test(network, IMAGES, maps)
    assert result.images == 4
    assert result.depths[-1].correlation == pytest.approx(1)


@pytest.mark.parametrize(
    ("correlation", "verdict"),
    [
        (0.0, "Passes: "),
        (0.29, "Passes: "),
        (0.3, "Passes: "),
        (-0.29, "Passes: "),
        (0.31, "Passes in part: "),
        (0.4, "Passes in part: "),
        (-0.4, "Passes in part: "),
        (0.59, "Passes in part: "),
        (0.6, "Fails: "),
        (0.61, "Fails: "),
        (-0.7, "Fails: "),  # maps turned upside down come from the image as well
    ],
)
def test_the_correlation_with_everything_forgotten_decides(
    correlation: float, verdict: str
) -> None:
    for head in (0.0, 0.99):
        depths = tuple(Depth(*of, 0.99) for of in (("head", head), ("b", 0.5), ("a", correlation)))
        said = Randomisation(depths, 6).verdict
        assert said.startswith(verdict)
        assert f"{head:.2f} once head has forgotten what it learnt, {correlation:.2f} " in said
        assert "(size 0.99) once all 3 layers have, 6 images" in said


def test_norms_that_the_network_begins_with_are_a_layer_of_their_own() -> None:
    norms = nn.BatchNorm2d(3), nn.GroupNorm(1, 3), nn.GroupNorm(3, 3)
    model = nn.Sequential(*norms, nn.Conv2d(3, 2, 3), nn.ReLU())
    with torch.no_grad():
        for norm in norms:
            norm.weight.fill_(2)
    weights: list[list[float]] = []

    def maps(changed: nn.Module, images: Tensor) -> Tensor:
        assert isinstance(changed, nn.Sequential)
        weights.append([float(norm.weight.detach()[0]) for norm in list(changed)[:3]])
        return changed(images).detach()[:, 0]

    result = randomisation_test(model, IMAGES, maps, draws=1)
    assert [depth.layer for depth in result.depths] == ["3", "0"]
    assert weights == [[2, 2, 2], [2, 2, 2], [1, 1, 1]]
