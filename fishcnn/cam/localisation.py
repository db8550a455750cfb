"""Where the maps lie: on the fish, on the border, on bars; and a shortcut by its name."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fishcnn.cam.shortcut import Shortcut, shortcut_beside_masks, shortcut_by_recurrence
from fishcnn.utils.text import percent

BORDER_WIDTH = 0.1  # of the side
MIN_EXCESS = 0.1  # of the energy beyond the area's share, before a place is worth a line
MIN_Z = 3.0  # and standard errors beyond chance: there are many classes
MIN_Z_ON_FISH = 2.0  # standard errors beyond the area's share, or it may be chance
MIN_IMAGES = 4  # of a class: of fewer, there is no standard error to speak of
MAX_EXAMPLES = 3
MAX_CLASSES_NAMED = 5  # a longer list of classes is not read

Floats = NDArray[np.float64]


def energy_inside(maps: Tensor, masks: Tensor) -> Tensor:
    """Share (N,) of each map's energy on its mask, in [0, 1]; NaN for an all-zero map.

    The energy-based pointing game of Wang et al., "Score-CAM", CVPR Workshops 2020. Maps (N, H, W)
    are not negative, masks bool, or float in [0, 1] for the covered share of each pixel.
    """
    on_mask = maps * masks.to(maps)
    return on_mask.sum((1, 2)) / maps.sum((1, 2))


def pointing_hit(maps: Tensor, masks: Tensor) -> Tensor:
    """Whether each map's peak lies on its mask, (N,) 1 or 0; NaN for an all-zero map.

    The pointing game of Zhang et al., "Top-down neural attention by excitation backprop", IJCV
    2018, without the tolerance in pixels. Upsampled maps are flat at the image's edge, so a peak
    may cover several pixels: then the share of them that is on the mask counts. Arguments are as in
    `energy_inside`; 0.5 and more is on the mask.
    """
    top = maps.amax((1, 2), keepdim=True)
    peaks = (maps == top) & (top > 0)
    return energy_inside(peaks.to(maps), masks.to(maps) >= 0.5)


@dataclass(frozen=True)
class Place:
    """How much of the maps' energy lies on one kind of place, by class.

    Attributes:
        energy: (K,) mean share of the energy, 0..1; NaN for a class without images of it.
        area: (K,) mean share of the image's area: what a map that points nowhere would have.
        error: (K,) standard error of the mean of energy - area; infinite for fewer than 4 images.
        images: (K,) int64, averaged over.
        examples: for each class, positions of the images with the most energy there.
    """

    energy: Floats
    area: Floats
    error: Floats
    images: NDArray[np.int64]
    examples: tuple[tuple[int, ...], ...]

    @property
    def more_than_area(self) -> NDArray[np.bool_]:
        """(K,) classes with clearly more energy there than the area explains."""
        return self.energy - self.area > np.maximum(MIN_EXCESS, MIN_Z * self.error)

    @property
    def overall(self) -> tuple[float, float]:
        """Energy and area over all images; NaN where there are none."""
        return _overall(self.energy, self.images), _overall(self.area, self.images)


@dataclass(frozen=True)
class Found:
    """One thing that was found.

    Attributes:
        kind: "shortcut", "bars", "border", "least on the fish" or "nothing".
        text: in plain words.
        examples: positions of images that show it by class, which may be many; what they show most
            comes first.
    """

    kind: str
    text: str
    examples: dict[int, tuple[int, ...]]

    def named(self, names: Sequence[str]) -> str:
        """The text with the examples of five classes, from the names of all the images."""
        shown = [
            ", ".join(names[position] for position in positions)
            for positions in list(self.examples.values())[:MAX_CLASSES_NAMED]
        ]
        more = len(self.examples) - MAX_CLASSES_NAMED
        shown += [f"and {more} more classes"] if more > 0 else []
        return f"{self.text} See {'; '.join(shown)}." if shown else self.text


@dataclass(frozen=True)
class Localisation:
    """Where a network looks on one set of images.

    Attributes:
        fish: None without masks.
        pointing: (K,) share of peaks on the fish, NaN for classes without images; None likewise.
        border: on the outer frame, a tenth of the side wide.
        bars: on letterboxes, frames and caption bars, over the images that have such.
    """

    classes: tuple[str, ...]
    fish: Place | None
    pointing: Floats | None
    border: Place
    bars: Place
    shortcut: Shortcut | None

    @property
    def findings(self) -> tuple[Found, ...]:
        """What was found, in plain words, the most important first; at least one thing."""
        found = []
        if self.shortcut is not None:
            found.append(self._shortcut(self.shortcut))
        for kind, place, name in (
            ("bars", self.bars, "bars at the edge (letterbox, frame or caption)"),
            ("border", self.border, "the outer border"),
        ):
            there = np.flatnonzero(place.more_than_area).tolist()
            if there:
                text = (
                    f"BORDER: in {len(there)} of {len(self.classes)} classes the maps lie on "
                    f"{name}, {percent(place.energy[there].mean(), 0)} of their energy on "
                    f"{percent(place.area[there].mean(), 0)} of the image."
                )
                found.append(Found(kind, text, {k: place.examples[k] for k in there}))
        if self.fish is not None:
            found.append(self._on_fish(self.fish))
        elif not found:
            text = (
                "Nothing suspicious: no class has its maps on the border or on bars, and no small "
                "patch gives the classes away. Without masks, only the eye can tell whether they "
                "lie on the fish: look at the maps."
            )
            found.append(Found("nothing", text, {}))
        return tuple(found)

    def _shortcut(self, shortcut: Shortcut) -> Found:
        what = "a small patch" if shortcut.patch else "something"
        where = "" if self.fish is None else " away from the fish"
        ask = " If it is not part of the fish, remove it." if self.fish is None else ""
        text = (
            f"SHORTCUT: in {len(shortcut.examples)} of {shortcut.classes} classes the network goes "
            f"by {what}{where}: {shortcut.why}.{ask}"
        )
        return Found("shortcut", text, shortcut.examples)

    def _on_fish(self, place: Place) -> Found:
        assert self.pointing is not None
        energy, area = place.overall
        text = (
            f"On the fish: {percent(energy, 0)} of the maps' energy lies on the fish, which covers "
            f"{percent(area, 0)} of the image, and so do "
            f"{percent(_overall(self.pointing, place.images), 0)} of their peaks."
        )
        excess = place.energy - place.area
        beside = np.isfinite(place.error) & (excess <= MIN_Z_ON_FISH * place.error)
        # NaN, of classes without images, comes last.
        worst = [k for k in np.argsort(excess).tolist() if place.examples[k]]
        if beside.any():
            text += (
                f" In {beside.sum()} of {len(self.classes)} classes that is no more than chance."
            )
            worst = [k for k in worst if beside[k]]
        else:
            worst = worst[:MAX_CLASSES_NAMED]
        return Found("least on the fish", text, {k: place.examples[k] for k in worst})


def localise(
    model: nn.Module,
    images: Tensor,
    maps: Tensor,
    labels: Tensor,
    *,
    classes: Sequence[str],
    bars: Tensor,
    masks: Tensor | None = None,
    seed: int = 0,
) -> Localisation:
    """Measure where the maps' energy lies, and test whether a shortcut is taken.

    Some 20 images a class are enough; without masks, a class needs six to be judged. Images are
    named by their position in the batch; the seed is of the choice of those that are compared.
    Arguments are as in `shortcut`: `maps` in [0, 1] of the classes that the network predicts, all
    zeros where a map points nowhere, whose images do not count; `bars` (N, S, S) bool, True on
    letterboxes, frames and caption bars.
    """
    generator = torch.Generator().manual_seed(seed)
    width = max(1, round(BORDER_WIDTH * images.shape[-1]))
    frame = torch.ones_like(maps[0])
    frame[width:-width, width:-width] = 0
    truth = labels.cpu().numpy()
    pointing = fish = None
    if masks is None:
        shortcut = shortcut_by_recurrence(model, images, maps, labels, generator)
    else:
        shortcut = shortcut_beside_masks(model, images, maps, labels, masks, generator)
        fish = _place(maps, masks, truth, len(classes), most=False)
        hits = _numpy(pointing_hit(maps, masks))
        pointing = _means(hits, _by_class(truth, np.isfinite(hits), len(classes)))
    border = _place(maps, frame.expand_as(maps), truth, len(classes))
    on_bars = _place(maps, bars.to(maps), truth, len(classes))
    return Localisation(tuple(classes), fish, pointing, border, on_bars, shortcut)


def _place(
    maps: Tensor, region: Tensor, truth: NDArray[np.int64], count: int, *, most: bool = True
) -> Place:
    """Average over images with a map and such a region; examples with most or least of it."""
    energy = _numpy(energy_inside(maps, region))
    area = _numpy(region.float().mean((1, 2)))
    excess = energy - area
    by_class = _by_class(truth, np.isfinite(excess) & (area > 0), count)
    images = np.array([len(own) for own in by_class])
    errors = [
        excess[own].std(ddof=1) / sqrt(len(own)) if len(own) >= MIN_IMAGES else np.inf
        for own in by_class
    ]
    ordered = [own[np.argsort(excess[own])][:: -1 if most else 1] for own in by_class]
    examples = tuple(tuple(own[:MAX_EXAMPLES].tolist()) for own in ordered)
    means = _means(energy, by_class), _means(area, by_class)
    return Place(*means, np.array(errors), images, examples)


def _by_class(
    truth: NDArray[np.int64], counts: NDArray[np.bool_], count: int
) -> list[NDArray[np.int64]]:
    """Positions of the images of each class that count."""
    return [np.flatnonzero((truth == label) & counts) for label in range(count)]


def _means(values: Floats, by_class: list[NDArray[np.int64]]) -> Floats:
    """Mean of each class, (K,); NaN where there is nothing."""
    return np.array([values[own].mean() if len(own) else np.nan for own in by_class])


def _overall(means: Floats, images: NDArray[np.int64]) -> float:
    """Mean over all images of means by class; NaN where there are none."""
    there = images > 0
    return float(np.average(means[there], weights=images[there])) if there.any() else np.nan


def _numpy(values: Tensor) -> Floats:
    return values.cpu().double().numpy()
