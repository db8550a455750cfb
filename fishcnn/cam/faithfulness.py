"""Whether what a map marks is what the network's confidence hangs on.

Every number also exists for two baselines that know nothing of the network: a random map, and a
blob in the middle, where photographers put the fish. A map that does no better explains nothing.

In all of it `model` is a classifier from (N, 3, H, W) images in [0, 1] to (N, K) logits, `images`
are such, `maps` (N, H, W) float in [0, 1] and `targets` the (N,) int64 classes that they explain.
"""

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fishcnn.cam.scoring import confidence
from fishcnn.utils.text import percent

STEPS = 16  # a curve of 16 steps has the area of one of 64 to within a hundredth
MIN_Z = 2.5  # standard errors: a smaller mean difference may be the chance of these images
MIN_AREA = 0.02  # of confidence: a difference that no curve shows is none, however sure
MIN_DROP = 0.05  # of the whole image's confidence, likewise
MIN_IMAGES = 8  # of fewer, the standard error itself is a guess
TOO_FEW = "Too few images for a verdict"
BLUR = 1 / 12  # of the side: no fish can be recognised where insertion starts


class Curves(NamedTuple):
    """Confidence, (N, steps + 1) in [0, 1], while an image disappears, or comes back."""

    deletion: Tensor
    insertion: Tensor

    @property
    def deletion_area(self) -> Tensor:
        """Area below each deletion curve, (N,) in [0, 1]: the lower, the better the map."""
        return _area(self.deletion)

    @property
    def insertion_area(self) -> Tensor:
        """Area below each insertion curve, (N,) in [0, 1]: the higher, the better the map."""
        return _area(self.insertion)


class DropAndIncrease(NamedTuple):
    """Share of the confidence lost, (N,) in [0, 1], and whether it grows, (N,) 1 or 0."""

    drop: Tensor
    increase: Tensor


@dataclass(frozen=True)
class Scores:
    """Of one kind of map the (N,) areas, drop and increase, and the (steps + 1,) mean curves."""

    deletion: Tensor
    insertion: Tensor
    drop: Tensor
    increase: Tensor
    mean_curves: Curves


@dataclass(frozen=True)
class Faithfulness:
    """The measures of the maps, of smooth random maps and of a blob in the middle."""

    maps: Scores
    random: Scores
    centre: Scores

    @property
    def ends(self) -> tuple[float, float]:
        """Mean confidence in the whole images, and in what is left when all is taken away."""
        deletion = self.maps.mean_curves.deletion
        return float(deletion[0]), float(deletion[-1])

    @property
    def verdict(self) -> str:
        """What the deletion and insertion curves say, in a line, and what they are."""
        mine, *others = (s.insertion - s.deletion for s in (self.maps, self.random, self.centre))
        differences = [mine - other for other in others]
        gains = [_gain(each, MIN_AREA) for each in differences]
        if len(self.maps.drop) < MIN_IMAGES:
            said = TOO_FEW
        elif gains[0] < 1:
            said = "Not faithful: what the map marks matters no more than random places"
        elif gains[1] < 0:
            said = "Better than chance, but the image's centre matters more than what the map marks"
        elif gains[1] == 0:
            said = "Better than chance, but not clearly better than pointing at the image's centre"
        else:
            said = "Faithful: the network's confidence hangs on what the map marks, more than on "
            said += "random places and on the image's centre"
        return (
            f"{said}. A good map marks what the network cannot do without: the network soon gets "
            "unsure when that is taken away bit by bit, and soon sure when it is put back. Mean "
            f"confidence while it is taken away {self._means('deletion')}, "
            f"while it is put back {self._means('insertion')} for map / random map / "
            f"centre; put back less taken away, the map gains {_compared(differences)}, "
            f"{len(mine)} images (deletion and insertion, Petsiuk et al. 2018)."
        )

    @property
    def drop_verdict(self) -> str:
        """What average drop and increase in confidence say, in a line, and what they are."""
        differences = [other.drop - self.maps.drop for other in (self.random, self.centre)]
        gains = [_gain(each, MIN_DROP) for each in differences]
        if len(self.maps.drop) < MIN_IMAGES:
            said = TOO_FEW
        elif gains[0] < 1:
            said = "The marked part alone keeps no more confidence than a random part"
        elif gains[1] < 1:
            said = "The marked part alone keeps more confidence than a random part, not clearly "
            said += "more than the centre"
        else:
            said = "The marked part alone keeps more confidence than either baseline"
        drop, rise = (self._means(name, in_percent=True) for name in ("drop", "increase"))
        return (
            f"{said}. Shown only what a good map marks, the network loses little of its "
            f"confidence, or gains some: average drop {drop}, higher confidence in {rise} "
            f"of {len(self.maps.drop)} images for map / random "
            f"map / centre; the map's drop is lower by {_compared(differences)} "
            "(Chattopadhay et al. 2018)."
        )

    def _means(self, measure: str, *, in_percent: bool = False) -> str:
        means = [
            float(getattr(each, measure).mean()) for each in (self.maps, self.random, self.centre)
        ]
        return " / ".join(percent(m, 0) if in_percent else f"{m:.2f}" for m in means)


def faithfulness(
    model: nn.Module,
    images: Tensor,
    maps: Tensor,
    targets: Tensor,
    generator: torch.Generator,
    *,
    steps: int = STEPS,
) -> Faithfulness:
    """Measure maps and both baselines: some 6 x steps passes over the images; numbers on the CPU.

    The generator, on the CPU, draws the random maps. The curves have `steps`, at least 1.
    """
    shape = maps.shape
    kinds = (maps, random_maps(shape, generator).to(maps), centre_maps(shape).to(maps))
    return Faithfulness(*(_scores(model, images, kind, targets, steps) for kind in kinds))


def deletion_insertion(
    model: nn.Module, images: Tensor, maps: Tensor, targets: Tensor, *, steps: int = STEPS
) -> Curves:
    """Take pixels away, and put them back, the most marked first.

    Petsiuk et al., "RISE: randomized input sampling for explanation of black-box models", BMVC
    2018. What is taken away gets the image's mean colour: black, as in the paper, is itself a
    thing to see on a bright image. Insertion starts from a blurred image. Only the order of a map's
    pixels counts.
    """
    rank = _ranks_from_the_top(maps)
    bare = images.mean((2, 3), keepdim=True).expand_as(images)
    blurred = _blur(images, BLUR * images.shape[-1])
    deleted, inserted = [], []
    for step in range(steps + 1):
        marked = (rank < step / steps)[:, None]
        deleted.append(confidence(model, torch.where(marked, bare, images), targets))
        inserted.append(confidence(model, torch.where(marked, images, blurred), targets))
    return Curves(torch.stack(deleted, 1), torch.stack(inserted, 1))


def average_drop_and_increase(
    model: nn.Module, images: Tensor, maps: Tensor, targets: Tensor
) -> DropAndIncrease:
    """Show the network each image multiplied by its map; two passes over the images.

    Chattopadhay et al., "Grad-CAM++", WACV 2018. A map that marks everything loses nothing: read it
    with the deletion curve, where only the order counts.
    """
    whole = confidence(model, images, targets)
    part = confidence(model, images * maps[:, None], targets)
    lost = (whole - part).clamp(min=0) / whole.clamp(min=torch.finfo(whole.dtype).tiny)
    return DropAndIncrease(lost, (part > whole).float())


def random_maps(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Smooth random maps (N, H, W) in [0, 1], as coarse as a small network's last layer."""
    count, height, width = shape
    coarse = torch.rand(count, 1, 4, 4, generator=generator)
    smooth = F.interpolate(coarse, (height, width), mode="bicubic")[:, 0].clamp(min=0)
    return smooth / smooth.amax((1, 2), keepdim=True)


def centre_maps(shape: tuple[int, ...]) -> Tensor:
    """A Gaussian blob in the middle, a quarter of the side wide, (N, H, W) in (0, 1]."""
    count, height, width = shape
    y = torch.linspace(-1, 1, height)[:, None]
    x = torch.linspace(-1, 1, width)
    return torch.exp(-2 * (x**2 + y**2)).expand(count, height, width)


def _scores(model: nn.Module, images: Tensor, maps: Tensor, targets: Tensor, steps: int) -> Scores:
    curves = deletion_insertion(model, images, maps, targets, steps=steps)
    alone = average_drop_and_increase(model, images, maps, targets)
    deletion, insertion = curves.deletion_area.cpu(), curves.insertion_area.cpu()
    mean_curves = Curves(*(curve.mean(0).cpu() for curve in curves))
    return Scores(deletion, insertion, alone.drop.cpu(), alone.increase.cpu(), mean_curves)


def _gain(differences: Tensor, least: float) -> int:
    """Whether paired differences (N,) are above 0 (1), below 0 (-1), or chance or too small (0)."""
    mean, margin = _mean_and_margin(differences)
    if len(differences) < 2 or abs(mean) <= margin or abs(mean) < least:
        return 0
    return 1 if mean > 0 else -1


def _mean_and_margin(differences: Tensor) -> tuple[float, float]:
    """Mean of paired differences (N,), and how far off it may be by the chance of these images."""
    error = float(differences.std(correction=min(1, len(differences) - 1))) / sqrt(len(differences))
    return float(differences.mean()), MIN_Z * error


def _compared(differences: list[Tensor]) -> str:
    """The differences to both baselines, for people."""
    to_random, to_centre = ("{:.3f} ± {:.3f}".format(*_mean_and_margin(d)) for d in differences)
    return f"{to_random} over random maps and {to_centre} over the centre (± {MIN_Z} SE)"


def _area(curve: Tensor) -> Tensor:
    """Trapezoids below (N, steps + 1) values over 0..1."""
    return (curve[:, 1:] + curve[:, :-1]).mean(1) / 2


def _ranks_from_the_top(maps: Tensor) -> Tensor:
    """Share of pixels marked more than each one, (N, H, W) in [0, 1); ties in random order.

    Maps are zero over large parts, where the order of memory would make a curtain from the top.
    """
    flat = maps.flatten(1).cpu()
    pixels = flat.shape[1]
    shuffled = torch.randperm(pixels, generator=torch.Generator().manual_seed(0))
    order = shuffled[flat[:, shuffled].argsort(dim=1, descending=True, stable=True)]
    rank = torch.empty_like(flat)
    rank.scatter_(1, order, (torch.arange(pixels) / pixels).expand_as(flat).to(flat))
    return rank.reshape(maps.shape).to(maps.device)


def _blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (N, 3, H, W), with the edge's colour beyond it."""
    reach = min(int(2 * sigma), min(images.shape[-2:]) - 1)
    offsets = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-((offsets / sigma) ** 2) / 2)
    weights = (weights / weights.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    across = F.conv2d(padded, weights, groups=images.shape[1])
    return F.conv2d(across, weights.transpose(2, 3), groups=images.shape[1])
