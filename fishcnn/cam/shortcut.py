"""Whether something beside the fish gives the species away, and the network goes by it.

Where there are masks, the fish are painted over: what is still recognised, is recognised by
something else. Where there are none, small patches are looked for that recur within a class to the
pixel (`recurring`), and covered.

The thresholds stand between what 26 networks gave that were trained on rendered fish, half of them
with `data.shortcut=0.95` and half with 0: 6 and 20 species, both heads, augmented or not, three
seeds, on held-out images. With the fish painted over, those without a tag are right as often as
chance, to within 3 points; with a tag, 4 to 77 points more often. Patches recur in at most 20 % of
the classes without a tag, in 50 to 100 % with one. Both tests name the shortcut for the same 11 of
13, and for none of the other 13; the two that they miss lose only 4 and 5 points of accuracy when
the tag is taken away.

In all of it `model` is a classifier from (N, 3, S, S) images in [0, 1] to (N, K) logits, `images`
are such, `maps` (N, S, S) float, not negative, and say where to look for a patch; `labels` are (N,)
int64, `masks` (N, S, S) float in [0, 1], the share of fish in each pixel; generators are on the
CPU.
"""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fishcnn.cam.recurring import MIN_OWN, PATCH, SIDE, Recurring, find_recurring
from fishcnn.cam.scoring import class_probabilities, confidence
from fishcnn.utils.text import percent

MIN_Z = 4.0  # standard errors above chance, or above the cost of covering any other place
MIN_SHARE_OF_KNOWN = 0.1  # of what the network knows, that it must know without the fish
MIN_CLASS_Z = 3.0  # standard errors for a class: there are many classes and few images in each
MIN_SHARE_OF_CLASSES = 0.4  # where a patch recurs: stripes and spots do as well, in a few
MIN_COST = 0.03  # of the confidence, that covering a patch must cost
MAX_EXAMPLES = 3  # images named for each class
RIM = 0.03  # of the side: the fish is painted over with its outline and shadow
GRIDS = (2, 4, 8, 16)  # what is painted is the mean ground of the finest cell that has any


@dataclass(frozen=True)
class Shortcut:
    """What gives species away beside the fish.

    Attributes:
        examples: for each class that goes by it, positions of images to look at.
        classes: how many could be judged.
        patch: whether it is a small patch that recurs; else it may be all of the surroundings.
        why: the numbers in plain words.
    """

    examples: dict[int, tuple[int, ...]]
    classes: int
    patch: bool
    why: str


def shortcut_beside_masks(
    model: nn.Module,
    images: Tensor,
    maps: Tensor,
    labels: Tensor,
    masks: Tensor,
    generator: torch.Generator,
) -> Shortcut | None:
    """Paint the fish over and see what is still recognised.

    Chance is what a network with these answers would get right if they had nothing to do with the
    images (Cohen 1960, "A coefficient of agreement for nominal scales").
    """
    scores = class_probabilities(model, without_fish(images, masks))
    answers = scores.argmax(1)
    right = answers == labels
    total, count = scores.shape
    share, said = (torch.bincount(v, minlength=count) / total for v in (labels, answers))
    chance = float((share * said).sum())
    hits = float(right.float().mean())
    known = float((class_probabilities(model, images).argmax(1) == labels).float().mean())
    error = sqrt(max(chance * (1 - chance), 1e-9) / total)
    if hits - chance < max(MIN_Z * error, MIN_SHARE_OF_KNOWN * (known - chance)):
        return None
    examples = {}
    for label in sorted(set(labels.tolist())):
        own = labels == label
        # Laplace's rule: of few images an answer that was never given is not impossible.
        elsewhere = (float((answers[~own] == label).sum()) + 1) / (int((~own).sum()) + 2)
        own_error = sqrt(elsewhere * (1 - elsewhere) / int(own.sum()))
        if float(right[own].float().mean()) - elsewhere > MIN_CLASS_Z * own_error:
            surest = torch.where(right & own, scores[:, label], -1).topk(min(MAX_EXAMPLES, total))
            examples[label] = tuple(surest.indices[surest.values >= 0].tolist())
    recurring = find_recurring(images, maps * (1 - masks), labels, generator)
    patches = sum(label in recurring and recurring[label].recurs for label in examples)
    why = (
        f"with the fish painted over, the network still names the species in {percent(hits, 0)} of "
        f"{total} images, where chance gives {percent(chance, 0)} (and {percent(known, 0)} with "
        "the fish)"
    )
    return Shortcut(examples, len(set(labels.tolist())), 2 * patches > len(examples), why)


def shortcut_by_recurrence(
    model: nn.Module, images: Tensor, maps: Tensor, labels: Tensor, generator: torch.Generator
) -> Shortcut | None:
    """Look for patches that recur in many classes, and cover them.

    Single classes with such a patch are no proof without masks: a species' own pattern may recur.
    """
    judged = int((torch.bincount(labels) >= MIN_OWN).sum())
    found = find_recurring(images, maps, labels, generator)
    found = {label: patch for label, patch in found.items() if patch.recurs}
    if len(found) < max(2, MIN_SHARE_OF_CLASSES * judged):
        return None
    covered, elsewhere = _costs(model, images, labels, list(found.values()), generator)
    differences = covered - elsewhere
    mean, error = float(differences.mean()), float(differences.std()) / sqrt(len(differences))
    if mean < max(MIN_Z * error, MIN_COST):
        return None
    share = sum(patch.share for patch in found.values()) / len(found)
    why = (
        f"a small patch is the same in {percent(share, 0)} of a class's images and in none of "
        f"the other classes, and covering it costs {percent(float(covered.mean()), 0)} of "
        f"confidence, where covering any other place costs {percent(float(elsewhere.mean()), 0)}"
    )
    examples = {k: tuple(patch.images[:MAX_EXAMPLES].tolist()) for k, patch in found.items()}
    return Shortcut(examples, judged, True, why)


def without_fish(images: Tensor, masks: Tensor) -> Tensor:
    """Paint the fish over with the ground around it, so that no outline of it is left."""
    side = images.shape[-1]
    reach = max(1, round(RIM * side))
    grown = F.max_pool2d((masks[:, None] > 0.05).to(images), 2 * reach + 1, 1, reach)
    keep = 1 - grown
    seen = keep.mean((2, 3), keepdim=True).clamp(min=1e-6)
    ground = ((images * keep).mean((2, 3), keepdim=True) / seen).expand_as(images)
    for cells in GRIDS:
        weight, colour = (
            F.interpolate(F.adaptive_avg_pool2d(part, cells), (side, side), mode="bilinear")
            for part in (keep, images * keep)
        )
        ground = torch.where(weight > 0.05, colour / weight.clamp(min=1e-6), ground)
    return images * keep + ground * grown


def _costs(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    patches: list[Recurring],
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Confidence lost by covering each patch, and a place at random of the same size, (M,) each."""
    which = torch.cat([patch.images for patch in patches])
    rows, columns = (torch.cat([getattr(p, name) for p in patches]) for name in ("rows", "columns"))
    places = torch.rand(2, len(which), generator=generator).to(rows) * (1 - PATCH / SIDE)
    chosen, targets = images[which], labels[which]
    whole = confidence(model, chosen, targets)
    here = whole - confidence(model, _cover(chosen, rows, columns), targets)
    elsewhere = whole - confidence(model, _cover(chosen, *places), targets)
    return here.cpu(), elsewhere.cpu()


def _cover(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Each image with its mean colour over the patch there and a quarter of its side around."""
    side = images.shape[-1]
    place = (torch.arange(side, device=images.device) + 0.5) / side
    rim, size = PATCH / SIDE / 4, PATCH / SIDE
    down, across = (
        (place > start[:, None] - rim) & (place < start[:, None] + size + rim)
        for start in (rows, columns)
    )
    covered = down[:, None, :, None] & across[:, None, None, :]
    return torch.where(covered, images.mean((2, 3), keepdim=True), images)
