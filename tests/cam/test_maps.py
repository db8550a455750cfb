"""Class activation maps: numbers worked out by hand, and no trace left in the model."""

import copy
from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import mobilenet_v3_small, resnet18, resnet50

from fishcnn.cam.layers import block_layers, default_layer, find_layer
from fishcnn.cam.maps import class_activation_maps, grad_cam
from fishcnn.cam.methods import METHODS
from fishcnn.utils.errors import FishError


class Stack(nn.Sequential):
    # torch 2.11 compiles no plain Sequential in place, so it has its own forward.
    def forward(self, images: Tensor) -> Tensor:
        for part in self:
            images = part(images)
        return images


def stack(inplace: bool = False) -> Stack:
    """Two conv blocks and a head for 16x16 images and 5 classes; BatchNorm not at its start."""
    torch.manual_seed(0)
    model = Stack(
        OrderedDict(
            block1=nn.Sequential(
                nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace)
            ),
            pool=nn.MaxPool2d(2),
            block2=nn.Sequential(
                OrderedDict(conv=nn.Conv2d(6, 8, 3), norm=nn.BatchNorm2d(8), relu=nn.ReLU(inplace))
            ),
            dropout=nn.Dropout(0.5),
            flatten=nn.Flatten(),
            head=nn.Linear(8 * 6 * 6, 5),
        )
    )
    with torch.no_grad():
        model(noise(16))
    return model


def noise(n: int = 4, size: int = 16) -> Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(n))


def reference(model: nn.Module, images: Tensor, layer: str, targets: Tensor) -> Tensor:
    """Grad-CAM the long way: a full backward pass through the whole model, image by image."""
    model = copy.deepcopy(model).eval()
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
        kept.append(output)
        return output.clone()  # in-place operations follow

    model.get_submodule(layer).register_forward_hook(keep)
    maps = []
    for image, target in zip(images, targets, strict=True):
        score = model(image[None])[0, target]
        features = kept.pop()
        (gradient,) = torch.autograd.grad(score, features)
        raw = torch.einsum("c,chw->hw", gradient[0].mean((1, 2)), features[0]).clamp(min=0)
        big = F.interpolate(raw[None, None], image.shape[1:], mode="bilinear")[0, 0]
        maps.append(big / big.max() if big.max() > 0 else big)
    return torch.stack(maps).detach()


def test_the_map_of_a_4x4_image_is_the_one_worked_out_by_hand() -> None:
    # The red channel holds 1..16. Feature A sums each 2x2 square, B is its upper left pixel:
    #   A = 14 22    B = 1  3
    #       46 54        9 11
    # Class 0 reads A with weights 1 0 0 -3 (mean -0.5) and B with 4 4 4 4 (mean 4):
    #   -0.5 A + 4 B = -3  1   keep the positive:  0  1
    #                  13 17                      13 17
    # Bilinear to 4x4 takes each axis at 0, 1/4, 3/4, 1 of the way; the maximum stays 17.
    # Class 1 reads A with -1 everywhere: nothing speaks for it.
    layer = nn.Conv2d(3, 2, 2, stride=2, bias=False)
    head = nn.Linear(8, 2, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0] = 1
        layer.weight[1, 0, 0, 0] = 1
        head.weight[0] = torch.tensor([1.0, 0, 0, -3, 4, 4, 4, 4])
        head.weight[1] = torch.tensor([-1.0, -1, -1, -1, 0, 0, 0, 0])
    images = torch.zeros(2, 3, 4, 4)
    images[:, 0] = torch.arange(1.0, 17).reshape(4, 4)
    expected = torch.tensor(
        [
            [0, 0.25, 0.75, 1],
            [3.25, 3.6875, 4.5625, 5],
            [9.75, 10.5625, 12.1875, 13],
            [13, 14, 16, 17],
        ]
    )

    model = nn.Sequential(layer, nn.Flatten(), head)
    result = grad_cam(model, images, layer="0", targets=torch.tensor([0, 1]))

    torch.testing.assert_close(result.maps[0], expected / 17)
    assert result.maps[1].eq(0).all()
    # Class 0: 14 - 3 * 54 + 4 * (1 + 3 + 9 + 11); class 1: -(14 + 22 + 46 + 54).
    assert result.logits.tolist() == [[-52, -136], [-52, -136]]
    assert not result.logits.requires_grad
    assert not result.maps.requires_grad


def test_behind_global_average_pooling_it_is_the_class_activation_map() -> None:
    torch.manual_seed(1)
    trunk = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 6, 3))
    model = nn.Sequential(trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head := nn.Linear(6, 3))
    targets = torch.tensor([0, 1, 2, 0])
    images = noise(4)

    maps = grad_cam(model, images, layer=trunk, targets=targets).maps

    cam = torch.einsum("nk,nkhw->nhw", head.weight[targets], trunk(images)).clamp(min=0)
    cam = F.interpolate(cam[:, None], (16, 16), mode="bilinear")[:, 0]
    peaks = cam.amax((1, 2))
    assert (peaks > 0).sum() >= 2
    for got, want, peak in zip(maps, cam, peaks, strict=True):
        torch.testing.assert_close(got, want / peak if peak > 0 else want)


@pytest.mark.parametrize(
    ("build", "layer", "size"),
    [
        (stack, "block2", 16),
        (stack, "block1.0", 16),
        (lambda: resnet18(weights=None), "layer4", 64),
        (lambda: resnet18(weights=None), "layer2.0.bn2", 64),
        (lambda: mobilenet_v3_small(weights=None), "features", 64),
        (lambda: mobilenet_v3_small(weights=None), "features.4", 64),
    ],
)
def test_it_equals_a_full_backward_pass_one_image_at_a_time(
    build: Callable[[], nn.Module], layer: str, size: int
) -> None:
    torch.manual_seed(2)
    model = build()
    targets = torch.tensor([4, 0, 3])
    images = noise(3, size)
    expected = reference(model, images, layer, targets)
    assert expected.amax((1, 2)).max() == 1

    maps = grad_cam(model, images, layer=layer, targets=targets).maps

    assert maps.shape == (3, size, size)
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps, expected, atol=1e-4, rtol=0)


def test_without_targets_it_explains_the_predicted_classes() -> None:
    model, images = stack(), noise()
    predicted = model.eval()(images).argmax(1)

    result = grad_cam(model, images, layer="block2")

    assert result.logits.argmax(1).equal(predicted)
    assert result.maps.equal(grad_cam(model, images, layer="block2", targets=predicted).maps)
    other = (predicted + 1) % 5
    assert not result.maps.equal(grad_cam(model, images, layer="block2", targets=other).maps)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_maps_are_the_same_during_validation(mode: Callable[[], torch.no_grad]) -> None:
    model = stack()
    expected = grad_cam(model, noise(), layer="block2", targets=torch.tensor([0, 1, 2, 3]))
    with mode():
        images, targets = noise() * 1, torch.tensor([0, 1, 2, 3])
        result = grad_cam(model, images, layer="block2", targets=targets)
        assert not torch.is_grad_enabled()
    assert result.maps.equal(expected.maps)
    assert result.logits.equal(expected.logits)


def test_the_images_are_left_as_they_were_by_a_model_that_works_in_place() -> None:
    model = nn.Sequential(nn.Hardtanh(0.25, 0.75, inplace=True), stack())
    expected = grad_cam(model, noise(), layer="0").maps
    with torch.inference_mode():
        images = noise() * 1
        result = grad_cam(model, images, layer="0")
    assert images.equal(noise())
    assert result.maps.equal(expected)
    assert expected.max() == 1


def test_only_the_part_above_the_layer_builds_a_graph() -> None:
    model = stack()
    needs_grad: dict[str, bool] = {}
    for name, module in model.named_children():
        module.register_forward_hook(
            lambda _m, _a, out, name=name: needs_grad.update({name: out.requires_grad})
        )
    grad_cam(model, noise(), layer="block2.norm")
    assert needs_grad == {
        "block1": False,
        "pool": False,
        "block2": True,
        "dropout": True,
        "flatten": True,
        "head": True,
    }


def test_frozen_networks_give_the_same_maps() -> None:
    model = stack()
    expected = grad_cam(model, noise(), layer="block2").maps
    model.requires_grad_(False)
    assert grad_cam(model, noise(), layer="block2").maps.equal(expected)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_the_model_is_left_as_it_was() -> None:
    model = stack()
    model.block2.eval()
    model.block2.relu.train()
    modes = [module.training for module in model.modules()]
    state = copy.deepcopy(model.state_dict())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    model.head.bias.grad = None
    seen: list[int] = []
    model.block2.register_forward_hook(lambda *_: seen.append(1))

    default_layer(model, noise())
    first = grad_cam(model, noise(), layer="block2")
    second = grad_cam(model, noise(), layer="block2")

    assert first.maps.equal(second.maps)
    assert [module.training for module in model.modules()] == modes
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())
    assert model.head.bias.grad is None
    assert model.head.weight.grad.eq(1).all()
    assert model.block1[0].weight.grad.eq(1).all()
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in model.parameters())
    assert len(seen) == 3
    assert [len(module._forward_hooks) for module in model.modules()].count(1) == 1
    assert sum(len(module._forward_hooks) for module in model.modules()) == 1


def test_a_failing_forward_pass_leaves_no_hook_and_no_mode_behind() -> None:
    model = stack().train()
    model.block1.eval()
    modes = [module.training for module in model.modules()]
    wrong_size = noise(2, 20)  # the head fits 16x16 only
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        grad_cam(model, wrong_size, layer="block2")
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        default_layer(model, wrong_size)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks for module in model.modules())
    assert all(isinstance(parameter, nn.Parameter) for parameter in model.parameters())


def test_an_inplace_relu_behind_the_layer_changes_nothing() -> None:
    model, inplace = stack(), stack(inplace=True)
    for layer in ("block2.norm", "block1.1"):
        expected = grad_cam(model, noise(), layer=layer).maps
        assert expected.max() == 1
        assert grad_cam(inplace, noise(), layer=layer).maps.equal(expected)


def test_bfloat16_maps_are_close_to_float32() -> None:
    model, images, targets = stack().eval(), noise(), torch.tensor([0, 3, 0, 3])
    expected = grad_cam(model, images, layer="block2", targets=targets)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        model(images)  # as a validation step does; autocast may keep its weights
        result = grad_cam(model, images, layer="block2", targets=targets)
    assert result.maps.dtype == result.logits.dtype == torch.float32
    assert 0 < (result.maps - expected.maps).abs().max() < 0.03
    assert 0 < (result.logits - expected.logits).abs().max() < 0.03


def test_a_training_step_after_a_map_has_all_its_gradients() -> None:
    gradients = []
    for look in (False, True):
        model = stack().eval()
        with torch.autocast("cpu", torch.bfloat16):
            if look:
                grad_cam(model, noise(), layer=default_layer(model, noise()))
            model(noise()).float().square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for without, after in zip(*gradients, strict=True):
        assert without.abs().max() > 0
        assert after.equal(without)


@pytest.mark.parametrize("how", ["in place", "wrapped", "a part wrapped"])
def test_compiled_networks_give_the_eager_maps_and_compile_once(how: str) -> None:
    torch._dynamo.reset()
    compiled = 0

    def backend(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> Callable[..., object]:
        nonlocal compiled
        compiled += 1
        return graph.forward

    model = stack().eval()
    images = noise()
    expected = grad_cam(model, images, layer="block2.norm")
    if how == "in place":
        model.compile(backend=backend)
    elif how == "wrapped":
        model = torch.compile(model, backend=backend)
    else:
        model.block2 = torch.compile(model.block2, backend=backend)

    with torch.no_grad():
        model(images)
        assert compiled == 1
        result = grad_cam(model, images, layer="block2.norm")
        model(images)
    assert compiled == 1
    assert result.maps.equal(expected.maps)
    assert find_layer(model, "block2.norm") is model.get_submodule("block2.norm")
    assert default_layer(model, images) == "dropout"
    assert block_layers(model, images) == ["block1", "dropout"]


def test_an_unknown_layer_is_named_together_with_those_that_exist() -> None:
    model = stack()
    assert find_layer(model, "block2.conv") is model.block2.conv
    for wrong in ("block3", "block2.conv.weight"):
        with pytest.raises(FishError) as error:
            grad_cam(model, noise(), layer=wrong)
        assert str(error.value) == (
            f"layer={wrong}: is not a layer of Stack; choose for example block1, block1.0, block2, "
            "block2.conv"
        )
    with pytest.raises(FishError, match=r"example conv1, layer1, layer1\.0, layer1\.1, layer2"):
        find_layer(resnet18(weights=None), "layer5")


def test_layers_without_feature_maps_are_refused_by_name() -> None:
    model = stack()
    with pytest.raises(FishError, match=r"layer=head: gives \(4, 5\), .*example block1,"):
        grad_cam(model, noise(), layer="head")
    model.block2.append(nn.Identity())
    model.block2[-1].register_forward_hook(lambda _m, _a, out: (out,))
    with pytest.raises(FishError, match=r"layer=block2\.3: gives tuple, "):
        grad_cam(model, noise(), layer="block2.3")


def test_layers_that_the_scores_do_not_depend_on_are_refused_by_name() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = stack()
            self.spare = nn.Conv2d(3, 3, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.net(images)

    model = Unused()
    with pytest.raises(FishError, match=r"layer=spare: has no gradient.*example net, net\.block1"):
        grad_cam(model, noise(), layer="spare")
    with pytest.raises(FishError, match="layer=Conv2d: has no gradient"):
        grad_cam(model, noise(), layer=nn.Conv2d(3, 3, 1))


def test_a_network_that_computes_its_scores_without_gradients_is_refused_by_name() -> None:
    model = stack()
    model.head.forward = torch.no_grad()(model.head.forward)
    with pytest.raises(FishError, match=r"layer=block2: has no gradient: .* under no_grad;"):
        grad_cam(model, noise(), layer="block2")


def test_the_default_layer_is_the_last_one_with_a_image_in_it() -> None:
    assert default_layer(resnet18(weights=None), noise(2, 128)) == "layer4"
    assert default_layer(mobilenet_v3_small(weights=None), noise(2, 128)) == "features"
    # Of smaller images fewer than 4x4 cells are left at the end.
    assert default_layer(resnet18(weights=None), noise(2, 64)) == "layer3"
    assert default_layer(resnet50(weights=None), noise(2, 64)) == "layer3"
    assert default_layer(mobilenet_v3_small(weights=None), noise(2, 64)) == "features.8"
    assert default_layer(resnet18(weights=None), noise(2, 32)) == "layer2"
    # Of the smallest, there are none with so many: then it is the last.
    tiny = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Flatten(), nn.Linear(16, 2))
    assert default_layer(tiny, noise(2, 4)) == "0"
    model = stack()
    assert default_layer(model, noise()) == "dropout"
    named = grad_cam(model, noise(), layer="dropout")
    assert torch.equal(grad_cam(model, noise()).maps, named.maps)
    with pytest.raises(FishError, match="Sequential has no layer with feature maps"):
        default_layer(nn.Sequential(nn.Flatten(), nn.Linear(768, 2)), noise())


LAYERS = ["block2", "block1.0", "block2.norm", "block1"]


@pytest.mark.parametrize("method", METHODS)
def test_several_layers_at_once_give_the_map_of_each(method: str) -> None:
    targets, images = torch.tensor([4, 0, 3]), noise(3)
    alone = [
        class_activation_maps(stack(), images, layers=[layer], method=method, targets=targets)
        for layer in LAYERS
    ]
    # Behind block1.0 and block2.norm an in-place ReLU follows.
    for model in (stack(), stack(inplace=True)):
        together = class_activation_maps(
            model, images, layers=LAYERS, method=method, targets=targets
        )
        assert together.maps.shape == (3, len(LAYERS), 16, 16)
        assert together.maps.amax((0, 2, 3)).tolist() == [1] * len(LAYERS)
        for index, result in enumerate(alone):
            torch.testing.assert_close(
                together.maps[:, index], result.maps[:, 0], atol=1e-5, rtol=0
            )
            torch.testing.assert_close(together.logits, result.logits)


def test_several_layers_take_one_forward_and_one_backward_pass() -> None:
    model = stack()
    forwards: list[bool] = []
    backwards: list[str] = []
    for name, module in model.named_children():

        def watch(_module: nn.Module, _args: object, output: Tensor, name: str = name) -> None:
            if output.requires_grad:
                output.register_hook(lambda _gradient: backwards.append(name))

        module.register_forward_hook(watch)
    model.register_forward_hook(lambda _m, _a, output: forwards.append(output.requires_grad))

    class_activation_maps(model, noise(), layers=["block2", "pool", "block2.norm"])
    assert forwards == [True]
    # In block1, below the lowest of them, and in pool itself nothing is computed.
    assert backwards == ["head", "flatten", "dropout", "block2"]

    # Score-CAM classifies a batch of masked images for each of the two layers besides.
    for method, passes in (("eigencam", 1), ("scorecam", 3)):
        forwards.clear(), backwards.clear()
        class_activation_maps(model, noise(), layers=["block2", "pool"], method=method)
        assert forwards == [False] * passes
        assert backwards == []


def test_a_layer_may_be_named_twice_and_given_as_a_module() -> None:
    model = stack()
    maps = class_activation_maps(
        model, noise(), layers=["block2", model.block2, "block2.relu", "dropout"]
    ).maps
    assert all(maps[:, index].equal(maps[:, 0]) for index in range(4))
    assert maps[:, 0].equal(grad_cam(model, noise(), layer="block2").maps)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_leaves_the_model_as_it_was_and_works_during_validation(method: str) -> None:
    model = stack().train()
    expected = class_activation_maps(model, noise(), layers=LAYERS, method=method)
    state = copy.deepcopy(model.state_dict())
    with torch.inference_mode():
        images = noise() * 1
        result = class_activation_maps(model, images, layers=LAYERS, method=method)
        assert images.equal(noise())
        with torch.autocast("cpu", torch.bfloat16):
            half = class_activation_maps(model, images, layers=["block2"], method=method)
    assert result.maps.equal(expected.maps)
    assert not expected.maps.requires_grad
    assert not expected.logits.requires_grad
    assert half.maps.dtype == half.logits.dtype == torch.float32
    predicted = half.logits.argmax(1) == expected.logits.argmax(1)
    assert predicted.any()
    assert 0 < (half.maps - expected.maps[:, :1])[predicted].abs().max() < 0.1
    assert all(module.training for module in model.modules())
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_against_another_class_the_score_is_the_difference_of_the_two() -> None:
    model, images = stack(), noise()
    zeros, fours = torch.full((4,), 0), torch.full((4,), 4)

    def maps(targets: Tensor | None, against: Tensor) -> Tensor:
        return class_activation_maps(
            model, images, layers=["block2"], targets=targets, against=against
        ).maps[:, 0]

    # The long way: a network one of whose scores is that difference.
    difference = copy.deepcopy(model)
    with torch.no_grad():
        difference.head.weight[0] -= model.head.weight[4]
    expected = grad_cam(difference, images, layer="block2", targets=zeros).maps
    assert expected.amax((1, 2)).max() == 1
    torch.testing.assert_close(maps(zeros, fours), expected)
    assert (maps(fours, zeros) - expected).abs().max() > 0.5
    predicted = model.eval()(images).argmax(1)
    others = (predicted + 1) % 5
    assert maps(None, others).equal(maps(predicted, others))
    assert maps(None, predicted).eq(0).all()


def test_targets_that_are_no_classes_are_refused_by_name() -> None:
    model, images = stack(), noise()
    with pytest.raises(FishError, match=r"targets=5: is not one of the model's 5 classes, 0 to 4"):
        grad_cam(model, images, layer="block2", targets=torch.tensor([0, 5, 1, 2]))
    with pytest.raises(FishError, match=r"targets=-1: is not one"):
        grad_cam(model, images, layer="block2", targets=torch.tensor([0, -1, 1, 2]))
    with pytest.raises(FishError, match=r"targets=\[0\]: needs one class for each of the 4 images"):
        grad_cam(model, images, layer="block2", targets=torch.tensor([0]))
    fives = torch.full((4,), 5)
    with pytest.raises(FishError, match=r"against=5: is not one"):
        class_activation_maps(model, images, layers=["block2"], against=fives)


def test_a_layer_without_gradient_among_others_is_refused_by_name() -> None:
    class Split(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = stack()
            self.spare = nn.Conv2d(3, 3, 1)

        def forward(self, images: Tensor) -> Tensor:
            self.spare(images)
            return self.net(images)

    layers = ["net.block2", "spare"]
    with pytest.raises(FishError, match="layer=spare: has no gradient"):
        class_activation_maps(Split(), noise(), layers=layers)
    # Eigen-CAM asks for none.
    maps = class_activation_maps(Split(), noise(), layers=layers, method="eigencam").maps
    assert maps[:, 1].amax((1, 2)).eq(1).all()
