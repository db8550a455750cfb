"""Networks trained on rendered fish, with a tag in 95 % of the images and without."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from stamped import StampReader, stamped
from torch import Tensor, nn
from torch.nn import functional as F

from fishcnn.cam.localisation import localise
from fishcnn.cam.maps import grad_cam
from fishcnn.cam.shortcut import (
    Shortcut,
    shortcut_beside_masks,
    shortcut_by_recurrence,
    without_fish,
)
from fishcnn.data.rendering.synthetic import ensure_synthetic
from fishcnn.models.networks.cnn import FishCNN

SIDE, SPECIES, EACH, HELD_OUT = 64, 4, 100, 20


class Normalised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = FishCNN(
            num_classes=SPECIES,
            image_size=SIDE,
            blocks=4,
            base_channels=16,
            max_channels=128,
            head="gap",
            hidden=1,
            dropout=0.0,
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network((images - 0.5) / 0.25)
        return logits


class Fish(NamedTuple):
    images: Tensor
    masks: Tensor
    labels: Tensor
    classes: list[str]


class Trained(NamedTuple):
    model: Normalised
    held_out: Fish
    maps: Tensor
    accuracy: float


def read(folder: Path) -> Fish:
    paths = sorted((folder / "pictures").glob("*/*.jpg"))
    classes = sorted({path.parent.name for path in paths})
    images, masks = [], []
    for path in paths:
        mask = folder / "masks" / path.parent.name / f"{path.stem}.png"
        images.append(np.asarray(Image.open(path).resize((SIDE, SIDE), Image.Resampling.BOX)))
        masks.append(np.asarray(Image.open(mask).convert("L").resize((SIDE, SIDE))))
    return Fish(
        torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255,
        torch.from_numpy(np.stack(masks)).float() / 255,
        torch.tensor([classes.index(path.parent.name) for path in paths]),
        classes,
    )


def train(fish: Fish, epochs: int = 14, batch: int = 32, lr: float = 4e-3) -> Trained:
    held_out = torch.arange(len(fish.labels)) % EACH < HELD_OUT
    images, labels = fish.images[~held_out], fish.labels[~held_out]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Normalised()
        optimizer = torch.optim.Adam(model.parameters(), lr)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, lr, total_steps=epochs * -(-len(labels) // batch)
        )
        for _ in range(epochs):
            for chosen in torch.randperm(len(labels)).split(batch):
                loss = F.cross_entropy(model(images[chosen]), labels[chosen])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    model.eval()
    rest = Fish(fish.images[held_out], fish.masks[held_out], fish.labels[held_out], fish.classes)
    result = grad_cam(model, rest.images)
    right = (result.logits.argmax(1) == rest.labels).float().mean()
    return Trained(model, rest, result.maps, float(right))


def trained_on(folder: Path, shortcut: float) -> Trained:
    return train(
        read(
            ensure_synthetic(
                folder,
                species=SPECIES,
                images_per_class=EACH,
                long_side=160,
                shortcut=shortcut,
                seed=0,
                workers=1,
            )
        )
    )


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_on(tmp_path_factory.mktemp("tagged"), shortcut=0.95)


@pytest.fixture(scope="module")
def untagged(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_on(tmp_path_factory.mktemp("untagged"), shortcut=0.0)


def findings(trained: Trained, *, masks: bool) -> str:
    fish = trained.held_out
    return "\n".join(
        finding.text
        for finding in localise(
            trained.model,
            fish.images,
            trained.maps,
            fish.labels,
            classes=fish.classes,
            bars=torch.zeros_like(fish.masks, dtype=torch.bool),
            masks=fish.masks if masks else None,
        ).findings
    )


@pytest.mark.slow
@pytest.mark.parametrize("masks", [True, False], ids=["masks", "no masks"])
def test_a_network_that_learnt_the_tag_is_told_so_and_one_that_had_no_tag_is_not(
    tagged: Trained, untagged: Trained, masks: bool
) -> None:
    assert min(tagged.accuracy, untagged.accuracy) > 0.7
    accused, acquitted = findings(tagged, masks=masks), findings(untagged, masks=masks)
    assert accused.startswith("SHORTCUT: in ")
    assert "a small patch" in accused
    assert "SHORTCUT" not in acquitted
    assert ("away from the fish" in accused) == masks
    assert ("On the fish: " in acquitted) == masks


@pytest.mark.slow
def test_the_examples_of_a_shortcut_are_images_with_the_tag_of_that_class(
    tagged: Trained, untagged: Trained
) -> None:
    fish = tagged.held_out
    # The two data sets are the same but for the tag.
    has_tag = (fish.images - untagged.held_out.images).abs().amax((1, 2, 3)) > 0.3
    assert 0.9 <= float(has_tag.float().mean()) < 1
    arguments = (tagged.model, fish.images, tagged.maps, fish.labels)
    for shortcut in (
        shortcut_beside_masks(*arguments, fish.masks, torch.Generator().manual_seed(0)),
        shortcut_by_recurrence(*arguments, torch.Generator().manual_seed(0)),
    ):
        assert shortcut is not None
        assert shortcut.classes == SPECIES
        assert len(shortcut.examples) >= 3
        for label, images in shortcut.examples.items():
            assert 1 <= len(images) <= 3
            assert fish.labels[list(images)].tolist() == [label] * len(images)
            assert has_tag[list(images)].all()


class Corner(nn.Module):
    """Knows three classes by the colour of the upper left corner."""

    def forward(self, images: Tensor) -> Tensor:
        return 20 * images[:, :, :8, :8].mean((2, 3))


def test_classes_told_by_their_surroundings_are_named_without_calling_them_a_patch() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    images = 0.3 + 0.05 * torch.rand(60, 3, 64, 64, generator=generator)
    images[torch.arange(60), labels] += 0.4  # the colour of all of the water
    masks = torch.zeros(60, 64, 64)
    masks[:, 30:50, 20:40] = 1
    shortcut = shortcut_beside_masks(
        Corner(), images, torch.ones(60, 64, 64), labels, masks, generator
    )
    assert shortcut is not None
    assert not shortcut.patch
    assert set(shortcut.examples) == {0, 1, 2}
    assert "100% of 60 images, where chance gives 33%" in shortcut.why


def test_a_network_right_by_chance_beside_the_fish_is_not_accused() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(60, 3, 64, 64, generator=generator)
    labels = torch.randint(0, 3, (60,), generator=generator)
    masks = torch.zeros(60, 64, 64)
    masks[:, 30:50, 20:40] = 1
    maps = torch.ones(60, 64, 64)
    assert shortcut_beside_masks(Corner(), images, maps, labels, masks, generator) is None


def test_painting_over_a_fish_leaves_the_ground_and_no_outline() -> None:
    images = torch.linspace(0.2, 0.8, 64).expand(2, 3, 64, 64).clone()  # darker on the left
    masks = torch.zeros(2, 64, 64)
    masks[:, 20:40, 24:44] = 1
    ground = images.clone()
    images[:, :, 20:40, 24:44] = torch.rand(
        2, 3, 20, 20, generator=torch.Generator().manual_seed(0)
    )
    painted = without_fish(images, masks)
    assert torch.equal(painted[:, :, :16], ground[:, :, :16])
    assert float((painted - ground).abs().max()) < 0.12
    assert torch.equal(without_fish(ground, torch.zeros(2, 64, 64)), ground)


CLASSES, PER_CLASS = 4, 225


class Coded(nn.Module):
    """Answers what the fish's red says, and where no fish is seen what the red corner says.

    The fish's green shows it. The corner's blue makes an answer surer.
    """

    def forward(self, images: Tensor) -> Tensor:
        corner, fish = images[:, :, 0, 0], images[:, :, 12, 12]
        red = torch.where(fish[:, 1] > 0.5, fish[:, 0], corner[:, 0])
        answers = F.one_hot((10 * red).round().long(), CLASSES).float()
        return answers * (5 + corner[:, 2:])


def by_corner(
    answers: Tensor, labels: Tensor, seen: Tensor | None = None, sure: Tensor | None = None
) -> Shortcut | None:
    """What is said of a network with these answers to the surroundings, and `seen` to the fish."""
    images = torch.zeros(len(labels), 3, 16, 16)
    images[:, 0, :2, :2] = answers[:, None, None] / 10
    images[:, 2, :2, :2] = 0 if sure is None else sure[:, None, None]
    masks = torch.zeros(len(labels), 16, 16)
    masks[:, 10:14, 10:14] = 1
    images[:, 0, 10:14, 10:14] = (labels if seen is None else seen)[:, None, None] / 10
    images[:, 1, 10:14, 10:14] = 1
    maps = torch.ones(len(labels), 16, 16)
    return shortcut_beside_masks(
        Coded(), images, maps, labels, masks, torch.Generator().manual_seed(0)
    )


def answers_right_in(right: int) -> Tensor:
    """Answers to 225 images of each of 4 classes, so many right in each; 225 of each answer."""
    place = torch.arange(PER_CLASS).repeat(CLASSES)
    return torch.where(place < right, LABELS, (LABELS + 1) % CLASSES)


LABELS = torch.arange(CLASSES).repeat_interleave(PER_CLASS)


def test_chance_is_what_the_same_answers_would_get_in_any_order() -> None:
    # Four of five images are of class 0, and the network says so of everything.
    labels = (torch.arange(100) % 5 == 0).long()
    assert by_corner(torch.zeros(100, dtype=torch.int64), labels) is None
    # 80 % right are a shortcut where chance gives 50 %.
    labels = torch.arange(100) % 2
    answers = torch.where(torch.arange(100) % 10 < 8, labels, 1 - labels)
    shortcut = by_corner(answers, labels)
    assert shortcut is not None
    assert "in 80% of 100 images, where chance gives 50% (and 100% with the fish)" in shortcut.why


def test_a_tenth_of_what_is_known_must_be_known_without_the_fish() -> None:
    # Chance is 1/4, all is known with the fish: 0.075 of 225 images are 16.9 above 56.25.
    assert by_corner(answers_right_in(73), LABELS) is None
    shortcut = by_corner(answers_right_in(74), LABELS)
    assert shortcut is not None
    assert set(shortcut.examples) == {0, 1, 2, 3}
    assert shortcut.classes == CLASSES


def test_what_is_known_without_the_fish_must_exceed_chance_by_four_standard_errors() -> None:
    # With the fish the network knows no more: only chance is in the way, whose standard error is
    # sqrt(1/4 * 3/4 / 900) = 0.01443. Four of them of 225 images are 12.99 above 56.25.
    for right, accused in ((69, False), (70, True)):
        answers = answers_right_in(right)
        assert (by_corner(answers, LABELS, seen=answers) is not None) == accused


def test_a_class_is_named_beyond_three_standard_errors_of_what_the_others_are_called() -> None:
    # Of 675 images of the others 67 are called 0, which counts as 68/677; three standard errors of
    # it in 225 images are 0.0601, and 0.1605 in all: 36.1 images.
    for right, named in ((36, False), (37, True)):
        answers = LABELS.clone()
        answers[right:PER_CLASS] = 1
        answers[PER_CLASS : PER_CLASS + 67] = 0
        shortcut = by_corner(answers, LABELS)
        assert shortcut is not None
        assert (0 in shortcut.examples) == named
        assert {1, 2, 3} <= set(shortcut.examples)


def test_only_right_answers_are_examples_even_if_there_are_but_two() -> None:
    labels = torch.arange(4).repeat_interleave(torch.tensor([10, 100, 100, 100]))
    answers = labels.clone()
    answers[2:10] = 1
    shortcut = by_corner(answers, labels)
    assert shortcut is not None
    assert set(shortcut.examples[0]) == {0, 1}


def test_the_examples_are_the_surest_right_answers() -> None:
    sure = torch.zeros(len(LABELS))
    sure[torch.tensor([40, 17, 60])] = torch.tensor([0.9, 0.6, 0.3])
    sure[200] = 1  # surer still, but wrong
    shortcut = by_corner(answers_right_in(80), LABELS, sure=sure)
    assert shortcut is not None
    assert shortcut.examples[0] == (40, 17, 60)
    assert all(len(positions) == 3 for positions in shortcut.examples.values())


@pytest.mark.parametrize(
    ("classes", "marked", "patch"),
    [(3, 3, True), (3, 2, True), (3, 1, False), (4, 2, False), (4, 3, True)],
)
def test_it_is_a_patch_where_one_recurs_in_most_of_the_classes(
    classes: int, marked: int, patch: bool
) -> None:
    images, maps, labels, stamps = stamped(classes=classes, marked=marked)
    # What is not told by a stamp is told by a tint of all of the surroundings.
    images = images + 0.02 * (labels[:, None] - marked == torch.arange(3))[:, :, None, None]

    class Reader(StampReader):
        def forward(self, batch: Tensor) -> Tensor:
            tinted = batch.mean((2, 3)) - batch.mean((1, 2, 3))[:, None] > 0.008
            by_stamp = super().forward(batch)
            by_stamp[:, marked:] += 5 * tinted[:, : classes - marked]
            return by_stamp

    masks = torch.zeros_like(maps)
    masks[:, 31:33, 31:33] = 1
    generator = torch.Generator().manual_seed(0)
    shortcut = shortcut_beside_masks(Reader(stamps, 10), images, maps, labels, masks, generator)
    assert shortcut is not None
    assert set(shortcut.examples) == set(range(classes))
    assert shortcut.patch == patch


@pytest.mark.parametrize(("side", "rim"), [(64, 2), (40, 1)])
def test_outline_and_shadow_within_the_rim_are_painted_over_with_the_fish(
    side: int, rim: int
) -> None:
    masks = torch.zeros(1, side, side)
    masks[:, 14:26, 14:26] = 1
    for reach, left in ((rim, False), (rim + 1, True)):
        images = torch.full((1, 3, side, side), 0.5)
        images[:, :, 14 - reach : 26 + reach, 14 - reach : 26 + reach] = 0  # a shadow so wide
        images[:, :, 14:26, 14:26] = 1
        painted = without_fish(images, masks)
        assert bool((painted < 0.3).any()) == left
        assert float(painted.max()) < 0.6


def test_a_pixel_counts_as_fish_from_a_twentieth_on() -> None:
    images = torch.full((1, 3, 64, 64), 0.5)
    images[:, :, 32, 32] = 1
    masks = torch.zeros(1, 64, 64)
    for cover, painted in ((0.04, False), (0.06, True)):
        masks[:, 32, 32] = cover
        assert bool(without_fish(images, masks).amax() < 0.75) == painted


def test_a_fish_that_fills_the_image_leaves_one_colour() -> None:
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    painted = without_fish(images, torch.ones(1, 64, 64))
    assert float(painted.std()) < 1e-6
