"""Networks trained on rendered fish, with a tag in 95 % of the images and without."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from fishcnn.cam.localisation import localise
from fishcnn.cam.maps import grad_cam
from fishcnn.cam.shortcut import (
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
    result = grad_cam(model, rest.images, layer="network.blocks.3")
    right = (result.logits.argmax(1) == rest.labels).float().mean()
    return Trained(model, rest, result.maps, float(right))


def trained_on(folder: Path, shortcut: float) -> Trained:
    return train(
        read(
            ensure_synthetic(
                folder,
                species=SPECIES,
                pictures_per_class=EACH,
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
        localise(
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
