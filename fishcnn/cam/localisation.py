"""Where the evidence lies: on the fish, on the border, on bars; and a shortcut by its name."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fishcnn.cam.maps import energy_inside, pointing_hit
from fishcnn.cam.shortcut import Shortcut, shortcut_beside_masks, shortcut_by_recurrence
from fishcnn.data.inspection.borders import find_bars

FRAME = 0.1  # of the side: the outer border
MARGIN = 0.1  # of the energy beyond the area's share, before a place is worth a line
STANDARD_ERRORS = 3.0  # and beyond luck: there are many classes
FEWEST = 4  # pictures of a class: of fewer, there is no standard error to speak of
EXAMPLES = 3
MAX_NAMES = 5  # a longer list of classes is not read

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """How much of the maps' energy lies on one kind of place, by class.

    Attributes:
        energy: (K,) mean share of the energy, 0..1; NaN for a class without pictures of it.
        area: (K,) mean share of the picture's area: what a map that points nowhere would have.
        error: (K,) standard error of the mean of energy - area; infinite for fewer than 4 pictures.
        pictures: (K,) int64, over which these are averaged.
        examples: for each class, positions of the pictures with the most energy there.
    """

    energy: Floats
    area: Floats
    error: Floats
    pictures: NDArray[np.int64]
    examples: tuple[tuple[int, ...], ...]

    @property
    def more_than_area(self) -> NDArray[np.bool_]:
        """(K,) classes with clearly more energy there than the area explains."""
        excess = self.energy - self.area
        return np.nan_to_num(excess) > np.maximum(MARGIN, STANDARD_ERRORS * self.error)

    @property
    def overall(self) -> tuple[float, float]:
        """Energy and area over all pictures; NaN where there are none."""
        if not self.pictures.any():
            return float("nan"), float("nan")
        there = self.pictures > 0
        weights = self.pictures[there]
        energy = float(np.average(self.energy[there], weights=weights))
        return energy, float(np.average(self.area[there], weights=weights))


@dataclass(frozen=True)
class Evidence:
    """Where a network's evidence lies on one set of pictures.

    Attributes:
        classes: names in the order of the labels.
        fish: on the fish; None without masks.
        pointing: (K,) share of peaks on the fish, NaN for classes without pictures; None likewise.
        border: on the outer frame, a tenth of the side wide.
        bars: on letterboxes, frames and caption bars, over the pictures that have such.
        shortcut: what gives the species away beside the fish, if anything was found.
    """

    classes: tuple[str, ...]
    fish: Place | None
    pointing: Floats | None
    border: Place
    bars: Place
    shortcut: Shortcut | None

    @property
    def findings(self) -> tuple[str, ...]:
        """What was found, in plain words, the most important first; at least one line."""
        lines = []
        if self.shortcut is not None:
            lines.append(self._shortcut(self.shortcut))
        for place, name in (
            (self.bars, "bars at the edge (letterbox, frame or caption)"),
            (self.border, "the outer border"),
        ):
            there = np.flatnonzero(place.more_than_area).tolist()
            if there:
                energy = float(place.energy[there].mean())
                area = float(place.area[there].mean())
                lines.append(
                    f"BORDER: in {len(there)} of {len(self.classes)} classes the evidence lies on "
                    f"{name}, {energy:.0%} of it on {area:.0%} of the picture "
                    f"({self._named({label: place.examples[label] for label in there})})."
                )
        if self.fish is not None:
            lines.append(self._on_fish(self.fish))
        elif not lines:
            lines.append(
                "Nothing suspicious: no class has its evidence on the border or on bars, and no "
                "small patch gives the classes away. Without masks, whether it lies on the fish is "
                "for the eye: look at the maps."
            )
        return tuple(lines)

    def _shortcut(self, shortcut: Shortcut) -> str:
        what = "a small patch" if shortcut.patch else "something"
        where = "" if self.fish is None else " away from the fish"
        ask = " If it is no part of the fish, remove it." if self.fish is None else ""
        return (
            f"SHORTCUT: in {len(shortcut.examples)} of {shortcut.classes} classes the network goes "
            f"by {what}{where}: {shortcut.why} ({self._named(shortcut.examples)}).{ask}"
        )

    def _on_fish(self, place: Place) -> str:
        energy, area = place.overall
        assert self.pointing is not None
        there = place.pictures > 0
        hits = float(np.average(self.pointing[there], weights=place.pictures[there]))
        beside = {
            int(label): place.examples[label]
            for label in np.flatnonzero(there & (place.energy - place.area <= 2 * place.error))
            if np.isfinite(place.error[label])
        }
        line = (
            f"On the fish: {energy:.0%} of the evidence lies on the fish, which covers {area:.0%} "
            f"of the picture, and so do {hits:.0%} of the peaks."
        )
        if beside:
            line += f" In {len(beside)} of {len(self.classes)} classes that is no more than chance "
            line += f"({self._named(beside)})."
        return line

    def _named(self, examples: dict[int, tuple[int, ...]]) -> str:
        named = [
            f"{self.classes[label]}: pictures {', '.join(map(str, positions))}"
            for label, positions in list(examples.items())[:MAX_NAMES]
        ]
        more = len(examples) - MAX_NAMES
        return "; ".join(named) + (f"; and {more} more" if more > 0 else "")


def find_evidence(
    model: nn.Module,
    images: Tensor,
    maps: Tensor,
    labels: Tensor,
    *,
    classes: Sequence[str],
    masks: Tensor | None = None,
    seed: int = 0,
) -> Evidence:
    """Measure where the maps' energy lies, and test whether a shortcut is taken.

    Some 20 pictures a class are enough; without masks, a class needs six to be judged. ImageSet are
    named by their position in the batch.

    Args:
        model: A classifier from (N, 3, S, S) pictures in [0, 1] to (N, K) logits.
        images: (N, 3, S, S) float in [0, 1].
        maps: (N, S, S) float in [0, 1], of the classes that the network predicts; all zeros where a
            map points nowhere: such pictures do not count.
        labels: (N,) int64, the true classes.
        classes: K names.
        masks: (N, S, S) float in [0, 1], the share of fish in each pixel.
        seed: Of the choice of pictures that are compared.
    """
    count = len(classes)
    generator = torch.Generator().manual_seed(seed)
    side = images.shape[-1]
    width = max(1, round(FRAME * side))
    frame = torch.ones(side, side, device=maps.device)
    frame[width:-width, width:-width] = 0
    pointing = fish = None
    if masks is None:
        shortcut = shortcut_by_recurrence(model, images, maps, labels, generator)
    else:
        shortcut = shortcut_beside_masks(model, images, maps, labels, masks, generator)
        fish = _place(maps, masks, labels, count, most=False)
        pointing = _by_class(pointing_hit(maps, masks).cpu().double().numpy(), labels, count)
    return Evidence(
        tuple(classes),
        fish,
        pointing,
        _place(maps, frame.expand_as(maps), labels, count),
        _place(maps, _bars(images).to(maps), labels, count),
        shortcut,
    )


def _bars(images: Tensor) -> Tensor:
    pixels = (images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return torch.from_numpy(np.stack([find_bars(picture).mask for picture in pixels]))


def _place(maps: Tensor, region: Tensor, labels: Tensor, count: int, *, most: bool = True) -> Place:
    """Average over pictures with a map and such a region; examples with most or least of it."""
    energy = energy_inside(maps, region).cpu().double().numpy()
    area = region.float().mean((1, 2)).cpu().double().numpy()
    excess = np.where(area > 0, energy - area, np.nan)
    means, areas, errors = (np.full(count, value) for value in (np.nan, np.nan, np.inf))
    pictures = np.zeros(count, np.int64)
    examples: list[tuple[int, ...]] = []
    truth = labels.cpu().numpy()
    for label in range(count):
        own = np.flatnonzero((truth == label) & np.isfinite(excess))
        pictures[label] = len(own)
        order = own[np.argsort(excess[own])]
        examples.append(tuple((order[::-1] if most else order)[:EXAMPLES].tolist()))
        if len(own):
            means[label], areas[label] = energy[own].mean(), area[own].mean()
        if len(own) >= FEWEST:
            errors[label] = excess[own].std(ddof=1) / sqrt(len(own))
    return Place(means, areas, errors, pictures, tuple(examples))


def _by_class(values: Floats, labels: Tensor, count: int) -> Floats:
    """Mean of the finite values of each class, (K,); NaN where there are none."""
    truth = labels.cpu().numpy()
    means = np.full(count, np.nan)
    for label in range(count):
        own = values[(truth == label) & np.isfinite(values)]
        if len(own):
            means[label] = own.mean()
    return means
