"""Whether a map depends on what the network has learnt, or would look the same without it."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fishcnn.utils.errors import FishError

MapMaker = Callable[[nn.Module, Tensor], Tensor]

# Mean rank correlation with everything forgotten. That of maps of 4x4 cells is 0 to 0.2 where the
# method reads the network, and 1 where it only reads the image.
MAX_TO_PASS, MIN_TO_FAIL = 0.3, 0.6


@dataclass(frozen=True)
class Depth:
    """How much of the maps is left when a network has forgotten from its head down to `layer`.

    Attributes:
        correlation: Mean over images and draws of the rank correlation with the first maps, -1..1.
        absolute: Mean of its absolute value. Maps turned upside down have 1, but coarse maps that
            have nothing to do with each other already have 0.3.
    """

    layer: str
    correlation: float
    absolute: float


@dataclass(frozen=True)
class Randomisation:
    """Depths from the head down, the last one with everything forgotten, over so many images."""

    depths: tuple[Depth, ...]
    images: int

    @property
    def verdict(self) -> str:
        """What the test says, in one line."""
        head, everything = self.depths[0], self.depths[-1]
        numbers = (
            f"rank correlation with the trained network's maps {head.correlation:.2f} once "
            f"{head.layer} has forgotten what it learnt, {everything.correlation:.2f} (size "
            f"{everything.absolute:.2f}) once all {len(self.depths)} layers have, "
            f"{self.images} images (Adebayo et al. 2018)."
        )
        if abs(everything.correlation) >= MIN_TO_FAIL:
            return f"Fails: a network that knows nothing gives nearly the same maps: {numbers}"
        if abs(everything.correlation) > MAX_TO_PASS:
            return (
                "Passes in part: much of the maps comes from the image and the architecture, not "
                f"from what was learnt: {numbers}"
            )
        return (
            f"Passes: the maps come from the network's weights, not from the image alone: {numbers}"
        )


def randomisation_test(
    model: nn.Module, images: Tensor, make_maps: MapMaker, *, draws: int = 3, seed: int = 0
) -> Randomisation:
    """Forget layer by layer, from the head down, and compare the maps.

    Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018: the cascading parameter
    randomisation. A layer is a module with parameters of its own, together with the normalisation
    behind it. It forgets by its `reset_parameters`, or else by shuffling each parameter. Batch
    norms that have forgotten take their statistics from `images`, because a network whose
    statistics do not belong to its weights is broken rather than ignorant.

    Args:
        model: Any network; it is copied and not touched.
        images: (N, 3, H, W).
        make_maps: From a network and the images to maps (N, H, W), each time of the same classes.
        draws: How many times to forget: a single random network may resemble the trained one.
        seed: Of the new parameters.

    Raises:
        FishError: The network has no parameters, or every map is empty.
    """
    before = make_maps(model, images).flatten(1)
    spoken = before.amax(1) > before.amin(1)
    if not spoken.any():
        raise FishError("every map is empty: there is nothing that a randomised network could lose")
    before = before[spoken]
    names: list[str] = []
    correlations = []
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        for _ in range(draws):
            names = []
            for name, forgetful in _cascade(deepcopy(model).eval(), images):
                names.append(name)
                after = make_maps(forgetful, images).flatten(1)[spoken]
                correlations.append(rank_correlation(before, after))
    if not names:
        raise FishError(f"{type(model).__name__} has no parameters to randomise")
    each = torch.stack(correlations).reshape(draws, len(names), -1)
    signed, absolute = (value.mean((0, 2)).tolist() for value in (each, each.abs()))
    depths = (Depth(*row) for row in zip(names, signed, absolute, strict=True))
    return Randomisation(tuple(depths), len(before))


def _cascade(model: nn.Module, images: Tensor) -> Iterator[tuple[str, nn.Module]]:
    """The same model again and again, each time one layer more forgetful, and that layer's name."""
    norms: list[_BatchNorm] = []
    for name, modules in _layers_from_the_head(model):
        for module in modules:
            _forget(module)
        norms += [module for module in modules if isinstance(module, _BatchNorm)]
        _renew_statistics(model, norms, images)
        yield name, model


def rank_correlation(one: Tensor, other: Tensor) -> Tensor:
    """Spearman's rank correlation, (N,) float64 in [-1, 1], of each row of (N, M).

    Ties have mean ranks. A row that is constant agrees with nothing: 0.
    """
    a, b = (r - r.mean(1, keepdim=True) for r in (ranks(one), ranks(other)))
    size = (a.square().sum(1) * b.square().sum(1)).sqrt()
    return (a * b).sum(1) / torch.where(size > 0, size, 1)


def ranks(values: Tensor) -> Tensor:
    """Rank 0..M-1 of each value in its row of (N, M), float64; ties share their mean rank."""
    rows = []
    for row in values:
        _, place, count = row.unique(return_inverse=True, return_counts=True)
        rows.append((count.cumsum(0) - (count.double() + 1) / 2)[place])
    return torch.stack(rows)


def _layers_from_the_head(model: nn.Module) -> Iterator[tuple[str, list[nn.Module]]]:
    """Modules with parameters of their own, last first, each with the normalisation behind it.

    The order is that in which they are defined, which is that of the forward pass in all networks
    of this project.
    """
    waiting: list[nn.Module] = []
    for name, module in reversed(list(model.named_modules())):
        if list(module.parameters(recurse=False)):
            lowest = name
            waiting.append(module)
            if not isinstance(module, _BatchNorm | nn.LayerNorm | nn.GroupNorm):
                yield name, waiting
                waiting = []
    if waiting:
        yield lowest, waiting


@torch.no_grad()
def _forget(module: nn.Module) -> None:
    """Give one module new parameters, without those of its parts."""
    if callable(reset := getattr(module, "reset_parameters", None)):
        reset()
        return
    for parameter in module.parameters(recurse=False):
        shuffled = parameter.flatten()[torch.randperm(parameter.numel(), device=parameter.device)]
        parameter.copy_(shuffled.view_as(parameter))


@torch.no_grad()
def _renew_statistics(model: nn.Module, norms: list[_BatchNorm], images: Tensor) -> None:
    """Take the statistics of these batch norms from the images; the others keep theirs."""
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average
        norm.train()
    model(images)
    for norm in norms:
        norm.eval()
