"""The same maps as the `grad-cam` package (1.5), and as the closed form where there is one.

The package scales each map to minimum 0 and maximum 1, before and after it resizes it to the
image. Resizing commutes with that, so our maps, scaled in the same way, must equal its output.

Of the six methods it computes three as we do. In the others it differs in a detail each, where we
keep to the paper or to what can be defended; `package_maps` takes the detail out of the package:

* GradCAMPlusPlus adds 1e-6 to alpha's denominator, which is of the order of the gradients squared.
  The paper has no such term. Features divided by 2^14 before the layer's output is looked at, and
  multiplied again behind it, are the same network with gradients 2^14 times as large: nothing in
  the paper's formula changes, and 1e-6 is nothing beside them.
* EigenCAM takes the sign that its singular value decomposition happens to give. We take the one
  along which the features grow: that of the correlation with their sum over the channels.
* ScoreCAM aligns the corners when it upsamples its masks, and so shifts them against the image
  by up to half a feature pixel.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import pytorch_grad_cam
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import get_model

from fishcnn.cam.layers import block_layers, default_layer
from fishcnn.cam.maps import class_activation_maps, grad_cam
from fishcnn.cam.methods import METHODS, Seen
from fishcnn.models.networks.cnn import FishCNN

Floats = NDArray[np.float32]

PACKAGE = {
    "gradcam": pytorch_grad_cam.GradCAM,
    "gradcam++": pytorch_grad_cam.GradCAMPlusPlus,
    "hirescam": pytorch_grad_cam.HiResCAM,
    "layercam": pytorch_grad_cam.LayerCAM,
    "eigencam": pytorch_grad_cam.EigenCAM,
    "scorecam": pytorch_grad_cam.ScoreCAM,
}
TARGETS = [3, 0]


@cache
def fish_cnn(blocks: int, head: str) -> FishCNN:
    torch.manual_seed(blocks)
    model = FishCNN(
        num_classes=5,
        image_size=64,
        blocks=blocks,
        base_channels=4,
        max_channels=16,
        head=head,
        hidden=16,
        dropout=0.5,
    )
    return decided(model)


@cache
def backbone(architecture: str) -> nn.Module:
    torch.manual_seed(0)
    return decided(get_model(architecture, weights=None, num_classes=5))


def decided(model: nn.Module) -> nn.Module:
    """With the batch statistics and the far-apart class scores that training gives a network.

    Without them the features fade from layer to layer, and to Score-CAM all channels are the same.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the statistics are those of the next batch
    model.train()
    with torch.no_grad():
        model(noise(16))
        model.eval()
        *_, last = (module for module in model.modules() if isinstance(module, nn.Linear))
        last.weight *= 5 / model(noise(16)).std()
    return model


def noise(n: int = len(TARGETS)) -> Tensor:
    coarse = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(n))
    return F.interpolate(coarse, (64, 64), mode="bicubic")


def package_maps(
    method: str, model: nn.Module, layer: str, images: Tensor, *, as_it_is: bool = False
) -> Floats:
    """The package's maps, without the detail in which a method of it differs."""
    targets = [ClassifierOutputTarget(k) for k in TARGETS[: len(images)]]
    module = model.get_submodule(layer)
    scale = 2.0**14 if method == "gradcam++" and not as_it_is else 1.0
    with (
        pytest.MonkeyPatch.context() as patch,
        # Hooks run in the order in which they were added: the package's own lie between these.
        module.register_forward_hook(lambda _m, _a, out: out / scale),
        PACKAGE[method](model, [module]) as cam,
        module.register_forward_hook(lambda _m, _a, out: out * scale),
    ):
        if not as_it_is:
            patch.setattr("pytorch_grad_cam.eigen_cam.get_2d_projection", growing_projection)
            patch.setattr(
                torch.nn, "UpsamplingBilinear2d", lambda size: nn.Upsample(size, mode="bilinear")
            )
        return cam(images, targets)


def growing_projection(activations: Floats) -> Floats:
    """The package's projection, with the sign of its correlation with the features' sum."""
    projection = get_2d_projection(activations)
    correlation = (projection * activations.sum(1)).sum((1, 2), keepdims=True)
    return projection * np.where(correlation < 0, -1, 1)


def our_maps(method: str, model: nn.Module, layer: str, images: Tensor) -> Floats:
    """Our maps, scaled to minimum 0 and maximum 1 as the package's are."""
    result = class_activation_maps(
        model,
        images,
        layers=[layer],
        method=method,
        targets=torch.tensor(TARGETS[: len(images)]),
    )
    maps = result.maps[:, 0] - result.maps[:, 0].amin((1, 2), keepdim=True)
    peak = maps.amax((1, 2), keepdim=True)
    return (maps / torch.where(peak > 0, peak, 1)).numpy()


def assert_parity(method: str, model: nn.Module, layer: str, images: Tensor) -> None:
    theirs, ours = (
        package_maps(method, model, layer, images),
        our_maps(method, model, layer, images),
    )
    assert ours.shape == theirs.shape == (len(images), 64, 64)
    assert (theirs.max((1, 2)) > 0.999).any()  # not all of the maps are empty
    assert np.abs(ours - theirs).max() < 1e-4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("head", ["flatten", "gap"])
@pytest.mark.parametrize("blocks", [2, 3, 4])
def test_every_block_of_our_network_looks_as_with_the_package(
    blocks: int, head: str, method: str
) -> None:
    model = fish_cnn(blocks, head)
    for layer in block_layers(model, noise()):
        assert_parity(method, model, layer, noise())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("architecture", "last", "narrow"),
    [("resnet18", "layer4", "layer1"), ("mobilenet_v3_small", "features", "features.3")],
)
def test_backbones_look_as_with_the_package(
    architecture: str, last: str, narrow: str, method: str
) -> None:
    # To Score-CAM the hundreds of channels at the end are as many forward passes.
    layer, images = (narrow, noise(1)) if method == "scorecam" else (last, noise())
    assert_parity(method, backbone(architecture), layer, images)


@pytest.mark.parametrize("method", ["gradcam++", "eigencam", "scorecam"])
def test_the_package_still_differs_where_it_is_said_to(method: str) -> None:
    model = fish_cnn(4, "gap")
    differences = [
        np.abs(
            our_maps(method, model, layer, noise())
            - package_maps(method, model, layer, noise(), as_it_is=True)
        ).max()
        for layer in block_layers(model, noise())
    ]
    assert max(differences) > 1e-4


@pytest.mark.parametrize("blocks", [2, 3, 4])
def test_behind_global_average_pooling_it_is_the_closed_form(blocks: int) -> None:
    # Zhou et al., "Learning deep features for discriminative localization", CVPR 2016.
    model = fish_cnn(blocks, "gap")
    targets = torch.tensor(TARGETS)
    with torch.no_grad():
        pooled = model.blocks(noise())
        unpooled = nn.Sequential(*model.blocks[:-1], *list(model.blocks[-1])[:3])
        features = unpooled(noise())
    weights = model.head[-1].weight.detach()[targets]
    layer = default_layer(model, noise())
    for seen, features_of in ((f"blocks.{blocks - 1}", pooled), (layer, features)):
        cam = torch.einsum("nk,nkhw->nhw", weights, features_of)
        cam = F.interpolate(cam.clamp(min=0)[:, None], (64, 64), mode="bilinear")[:, 0]
        peak = cam.amax((1, 2), keepdim=True)
        assert (peak > 0).any()
        expected = cam / torch.where(peak > 0, peak, 1)
        maps = grad_cam(model, noise(), layer=seen, targets=targets).maps
        assert (maps - expected).abs().max() < 1e-5
        if seen != layer:
            hires = class_activation_maps(
                model, noise(), layers=[seen], method="hirescam", targets=targets
            )
            assert (hires.maps[:, 0] - expected).abs().max() < 1e-5


@pytest.mark.parametrize("blocks", [2, 3, 4])
def test_behind_a_gap_head_the_evidence_of_hires_cam_adds_up_to_the_class_score(
    blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fish_cnn(blocks, "gap")
    targets = torch.tensor(TARGETS)
    raw: list[Tensor] = []
    method = METHODS["hirescam"]

    def kept(seen: Seen) -> Tensor:
        raw.append(method.raw_maps(seen))
        return raw[-1]

    monkeypatch.setitem(METHODS, "hirescam", replace(method, raw_maps=kept))
    layer = default_layer(model, noise())
    logits = class_activation_maps(
        model, noise(), layers=[layer], method="hirescam", targets=targets
    ).logits
    assert raw[0].shape[1] == 2 * 64 // 2**blocks
    scores = logits.gather(1, targets[:, None])[:, 0] - model.head[-1].bias[targets]
    torch.testing.assert_close(raw[0].sum((1, 2)), scores.detach(), atol=1e-5, rtol=1e-5)
