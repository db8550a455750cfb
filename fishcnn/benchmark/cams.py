"""How fast Grad-CAM is, against a plain forward pass and against other packages."""

import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fishcnn.benchmark.network import build_network_of
from fishcnn.cam.layers import default_layer
from fishcnn.cam.maps import grad_cam

# How many times as long as each of the others Grad-CAM may take at most.
TARGETS = {"forward pass": 1.25, "grad-cam": 1 / 2.5, "captum": 1.0}
_PACKAGES = {"grad-cam": "pytorch_grad_cam", "captum": "captum"}


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """Time maps of one batch by every contender that is installed, alternating.

    Returns:
        ``seconds`` of each contender (medians), ``ratios`` of ours to each other with ``met``,
        ``missing`` packages, and ``largest_difference`` of our maps from those of grad-cam.
    """
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = settings["image_size"]
    # Laid out as in training, for all contenders.
    network = build_network_of(settings["blocks"], 20, size).eval()
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.rand(settings["batch"], 3, size, size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    contenders = _contenders(network, images)
    for contender in contenders.values():
        contender()  # warm up
    wait = torch.cuda.synchronize if device.type == "cuda" else torch.cpu.synchronize
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(settings["repetitions"]):
        for name, contender in contenders.items():
            wait()
            start = time.perf_counter()
            contender()
            wait()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ratios = {}
    for other, target in TARGETS.items():
        if other in medians:
            value = medians["fishcnn"] / medians[other]
            ratios[other] = {"value": value, "target": target, "met": value <= target}
    difference = None
    if "grad-cam" in contenders:
        ours, theirs = contenders["fishcnn"]().cpu(), contenders["grad-cam"]()
        # Theirs begin at their lowest value, ours at 0: brought to one scale.
        low, high = ours.amin((1, 2), keepdim=True), ours.amax((1, 2), keepdim=True)
        scaled = (ours - low) / (high - low).clamp(min=1e-7)
        difference = float((scaled - theirs).abs().max())
    return {
        "seconds": medians,
        "ratios": ratios,
        "missing": [name for name in _PACKAGES if name not in contenders],
        "largest_difference": difference,
    }


def _contenders(network: nn.Module, images: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Functions that give maps (N, H, W) of the predicted classes; the first one only logits."""
    layer = default_layer(network, images)
    module = network.get_submodule(layer)
    size = images.shape[-2:]

    @torch.no_grad()
    def forward() -> Tensor:
        logits: Tensor = network(images)
        return logits

    contenders: dict[str, Callable[[], Tensor]] = {
        "forward pass": forward,
        "fishcnn": lambda: grad_cam(network, images, layer=layer).maps,
    }
    if find_spec(_PACKAGES["grad-cam"]):
        from pytorch_grad_cam import GradCAM

        package = GradCAM(network, [module])
        contenders["grad-cam"] = lambda: torch.from_numpy(package(images, None))
    if find_spec(_PACKAGES["captum"]):
        from captum.attr import LayerGradCam

        attribution = LayerGradCam(network, module)

        def captum() -> Tensor:
            raw = attribution.attribute(images, forward().argmax(1), relu_attributions=True)
            return F.interpolate(raw, size, mode="bilinear")[:, 0].detach()

        contenders["captum"] = captum
    return contenders
