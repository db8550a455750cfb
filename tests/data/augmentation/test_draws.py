from dataclasses import replace
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from fishcnn.data.augmentation.augment import Augment
from fishcnn.data.augmentation.draws import Draws, Share, seed_network, seed_of
from fishcnn.data.augmentation.mixing import mix
from fishcnn.data.augmentation.recipe import HIGHEST, Recipe

CPU = torch.device("cpu")
CONF = Path(__file__).parents[3] / "conf" / "augment"
NONE = Recipe.from_config(OmegaConf.to_container(OmegaConf.load(CONF / "none.yaml")))  # type: ignore[arg-type]
MIXING = ("mixup", "cutmix")
CHANGES = [
    {"crop_scale": (0.3, 0.8)},
    {"trivial": True},
    *({name: min(0.5, high)} for name, high in HIGHEST.items() if name not in MIXING),
]


def augmented(recipe: Recipe, rows: slice, *, seed: int = 1, first: int = 8) -> torch.Tensor:
    """Rows of a batch of nine."""
    images = torch.randint(
        256, (9, 20, 20, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )[rows]
    share = Share(seed, 2, first, 9, *rows.indices(9)[:2])
    draws = Draws(len(images), CPU, share)
    return Augment(recipe, size=16, fill=(0.1, 0.5, 0.9))(images, torch.ones(len(images)), draws)


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: next(iter(changes)))
def test_what_is_drawn_for_an_image_is_the_same_however_its_batch_is_shared(
    changes: dict[str, object],
) -> None:
    recipe = replace(NONE, **changes)  # type: ignore[arg-type]
    torch.manual_seed(1)
    whole = augmented(recipe, slice(0, 9))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    halves = [augmented(recipe, rows) for rows in (slice(0, 4), slice(4, 9))]
    assert torch.allclose(torch.cat(halves), whole, atol=1e-6)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(augmented(recipe, slice(0, 9), first=0), whole)
    assert not torch.equal(augmented(recipe, slice(0, 9), seed=0), whole)


@pytest.mark.parametrize("method", MIXING)
def test_mixing_is_a_function_of_the_share(method: str) -> None:
    images, recipe = torch.rand(8, 3, 16, 16), replace(NONE, **{method: 1.0})
    seen = []
    for seed, first in ((1, 0), (1, 0), (1, 8), (2, 0)):
        torch.manual_seed(len(seen))
        draws = Draws(8, CPU, Share(seed, 0, first, 8, 0, 8))
        seen.append(mix(images, torch.eye(8), recipe, draws))
    assert all(torch.equal(one, other) for one, other in zip(seen[0], seen[1], strict=True))
    assert not torch.equal(seen[0][1], seen[2][1])
    assert not torch.equal(seen[0][1], seen[3][1])


def test_beta_and_permutation_are_what_they_are_called() -> None:
    draws = Draws(4000, CPU, Share(0, 0, 0, 4000, 0, 4000))
    for alpha in (0.2, 1.0, 3.0):
        drawn = draws.beta(alpha)
        assert 0 <= drawn.min() <= drawn.max() <= 1
        assert drawn.mean() == pytest.approx(0.5, abs=0.03)
        assert drawn.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)
    order = draws.permutation()
    assert order.sort().values.tolist() == list(range(4000))
    assert order[:3].tolist() != [0, 1, 2]


def test_each_process_drops_out_by_numbers_of_its_own_at_every_step() -> None:
    shares = [
        Share(seed, epoch, first, 8, *own)
        for seed in (0, 1)
        for epoch in (0, 1)
        for first in (0, 8)
        for own in ((0, 4), (4, 8))
    ]
    seen = set()
    for share in (*shares, *shares):
        seed_network(share, CPU)
        seen.add(tuple(torch.rand(4).tolist()))
    assert len(seen) == len(shares)


def test_seeds_of_neighbours_have_nothing_in_common() -> None:
    seeds = [seed_of(purpose, a, b) for purpose in ("x", "y") for a in range(9) for b in range(999)]
    assert len(set(seeds)) == len(seeds)
    assert 0 <= min(seeds) <= max(seeds) < 2**63
    # torch's generator of the CPU takes no more than these.
    assert len({seed % 2**32 for seed in seeds}) > len(seeds) - 3
