"""Small things that look the same in many images of one class and in no other class.

A fish does not do that: it swims, turns and is lit differently. A watermark, a label or a logo
does, and a network that finds one need not look at the fish any more.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 64  # pixels at which images are compared
PATCH = 8  # an eighth of that
CANDIDATES = 5  # places looked at in each image, the brightest of its map first
MIN_CONTRAST = 0.08  # standard deviation within a patch: bare water is alike everywhere
MIN_CORRELATION = 0.8  # normalised: half a pixel of shift leaves a sharp figure so much
MAX_OWN = 12  # images of the class that are compared
MAX_OTHER = 40  # images of other classes
MIN_OWN = 6  # images of a class: of fewer, too few can agree by any rule
MIN_SHARE = 0.7  # of the class's images, see `shortcut`
MAX_ELSEWHERE = 0.02  # of the other images: a stripe or an edge is found there, a label is not


class Recurring(NamedTuple):
    """The patch of a class that recurs most.

    Attributes:
        share: of the other images of the class that have it too, 0..1.
        images: (m,) int64 positions of the images in which it was found.
        rows: (m,) its first row in each, as a share 0..1 of the height; likewise `columns`.
    """

    share: float
    images: Tensor
    rows: Tensor
    columns: Tensor

    @property
    def recurs(self) -> bool:
        """Whether most of the class's images have it."""
        return self.share >= MIN_SHARE


def find_recurring(
    images: Tensor, maps: Tensor, labels: Tensor, generator: torch.Generator
) -> dict[int, Recurring]:
    """Look in each class for the patch, among those its maps mark, that recurs most.

    Arguments are as in `shortcut`; where a map is 0, nothing is looked at. There is a patch for
    each class with at least `MIN_OWN` images in which anything is marked.
    """
    found = {}
    for label in sorted(set(labels.tolist())):
        own = _some(labels == label, MAX_OWN, generator)
        other = _some(labels != label, MAX_OTHER, generator)
        if len(own) >= MIN_OWN and len(other):
            marked = _shrunk(maps[own, None])[:, 0]
            patch = _most_recurring(_shrunk(images[own]), marked, _shrunk(images[other]))
            if patch is not None:
                found[label] = patch._replace(images=own[patch.images])
    return found


def _shrunk(images: Tensor) -> Tensor:
    return F.interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True)


def _some(wanted: Tensor, most: int, generator: torch.Generator) -> Tensor:
    positions = wanted.nonzero()[:, 0]
    chosen = torch.randperm(len(positions), generator=generator)[:most].sort().values
    return positions[chosen.to(positions.device)]


def _most_recurring(images: Tensor, maps: Tensor, others: Tensor) -> Recurring | None:
    patches, source = _candidates(images, maps)
    if not len(patches):
        return None
    own, own_places = _matches(images, patches)
    own[torch.arange(len(source), device=own.device), source] = -1  # finds itself
    elsewhere = (_matches(others, patches)[0] >= MIN_CORRELATION).float().mean(1)
    share = (own >= MIN_CORRELATION).float().sum(1) / (len(images) - 1)
    best = int(torch.where(elsewhere <= MAX_ELSEWHERE, share, -1).argmax())
    if elsewhere[best] > MAX_ELSEWHERE:
        return None
    own[best, source[best]] = 1
    found = (own[best] >= MIN_CORRELATION).nonzero()[:, 0]
    place = own_places[best, found]
    steps = SIDE - PATCH + 1
    return Recurring(float(share[best]), found, place // steps / SIDE, place % steps / SIDE)


def _candidates(images: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Patches (Q, 3, P, P) that are marked and rich in contrast, and their images (Q,)."""
    figured = _spread(images, colours=False) > MIN_CONTRAST
    marked = F.avg_pool2d(maps[:, None], PATCH, 1)[:, 0]
    score = marked * _spread(images, colours=True) * figured
    windows = images.unfold(2, PATCH, 1).unfold(3, PATCH, 1)  # a view (N, 3, rows, columns, P, P)
    steps = score.shape[-1]
    every, along = (torch.arange(n, device=images.device) for n in (len(images), steps))
    patches, source = [], []
    for _ in range(CANDIDATES):
        value, place = score.flatten(1).max(1)
        row, column = place // steps, place % steps
        is_any = value > 0
        patches.append(windows[every, :, row, column][is_any])
        source.append(every[is_any])
        beside = (along - row[:, None]).abs()[:, :, None] < PATCH // 2
        beside = beside & ((along - column[:, None]).abs()[:, None, :] < PATCH // 2)
        score = score.masked_fill(beside, 0)
    return torch.cat(patches), torch.cat(source)


def _matches(images: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
    """Best normalised cross-correlation of patches in images, (Q, N), and its place (Q, N)."""
    centred = patches - patches.mean((1, 2, 3), keepdim=True)  # its colours count as well
    unit = centred / centred.flatten(1).norm(dim=1)[:, None, None, None]
    spread = _spread(images, colours=True)
    length = spread * (3 * PATCH * PATCH) ** 0.5
    products = F.conv2d(images, unit)
    correlation = torch.where(spread[:, None] > MIN_CONTRAST, products / length[:, None], 0)
    best, place = correlation.flatten(2).max(2)
    return best.T.contiguous(), place.T


def _spread(images: Tensor, *, colours: bool) -> Tensor:
    """Standard deviation of each window, (N, rows, columns), with that between colours or not."""
    mean = F.avg_pool2d(images, PATCH, 1)
    square = F.avg_pool2d(images.square(), PATCH, 1).mean(1)
    level = mean.mean(1).square() if colours else mean.square().mean(1)
    return (square - level).clamp(min=0).sqrt()
