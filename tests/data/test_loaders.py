import itertools

import pytest
import torch

from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.datasets import Rows
from fishcnn.data.loaders import TrainingBatches, steps_per_epoch
from fishcnn.utils.errors import FishError


class Images:
    """As many as a split has."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count


def batches(
    images: int, batch_size: int, processes: int = 1, seed: int = 0, **more: object
) -> list[TrainingBatches]:
    """Of each process."""
    return [
        TrainingBatches(
            Images(images),  # type: ignore[arg-type]
            batch_size,
            seed=seed,
            rank=rank,
            processes=processes,
            **more,  # type: ignore[arg-type]
        )
        for rank in range(processes)
    ]


def positions(of_process: list[Rows]) -> list[int]:
    return torch.cat([rows.positions for rows in of_process]).tolist()


SIZES = [
    (images, size, processes)
    for images, size, processes in itertools.product(range(2, 41), (2, 3, 8), (1, 2, 3))
    if images >= 2 * processes
]


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_image_comes_once_an_epoch_and_no_process_is_left_with_one(processes: int) -> None:
    for images, size, _ in (sizes for sizes in SIZES if sizes[2] == processes):
        shares = [list(one) for one in batches(images, size, processes)]
        steps = steps_per_epoch(images, size, processes)
        assert [len(one) for one in shares] == [steps] * processes
        together = [row for one in shares for row in positions(one)]
        assert sorted(together) == list(range(images)), (images, size, processes)
        for step in zip(*shares, strict=True):
            counts = [len(rows.positions) for rows in step]
            assert min(counts) >= 2
            assert max(counts) - min(counts) <= 1
            assert max(counts) <= size + 2
            # Of one batch, side by side.
            assert {(r.share.first, r.share.rows) for r in step} == {
                (step[0].share.first, sum(counts))
            }
            ends = [(r.share.start, r.share.stop) for r in step]
            assert ends == list(itertools.pairwise([0, *itertools.accumulate(counts)]))


def test_the_order_is_a_function_of_seed_and_epoch_however_many_processes_there_are() -> None:
    torch.manual_seed(5)
    (alone,) = batches(40, 8, seed=3)
    two = batches(40, 4, 2, seed=3)
    seen = []
    for epoch in (0, 1, 2, 1):
        for one in (alone, *two):
            one.set_epoch(epoch)
        whole = positions(list(alone))
        halves = zip(*map(list, two), strict=True)
        assert whole == [row for step in halves for row in positions(list(step))]
        seen.append(whole)
    assert seen[1] == seen[3]
    assert len({tuple(order) for order in seen}) == 3
    (other,) = batches(40, 8, seed=4)
    assert positions(list(other)) != seen[0]


def test_who_counts_no_epochs_gets_another_order_each_time() -> None:
    (one,) = batches(40, 8)
    first, second = positions(list(one)), positions(list(one))
    assert first != second
    one.set_epoch(0)
    assert positions(list(one)) == first


@pytest.mark.parametrize("weights", [None, torch.arange(1.0, 28)])
@pytest.mark.parametrize("done", [0, 8, 24])
def test_what_is_left_of_an_epoch_is_what_would_have_come(
    weights: torch.Tensor | None, done: int
) -> None:
    (whole,), (left,) = batches(27, 8, weights=weights), batches(27, 8, weights=weights)
    whole.set_epoch(2)
    expected = positions(list(whole))
    (left,) = batches(27, 8, weights=weights, begun=(2, done))
    assert len(left) == 4
    # Lightning asks for the iterator before it says which epoch it is.
    iterator = iter(left)
    left.set_epoch(2)
    assert positions(list(iterator)) == expected[done:]
    for one in (whole, left):
        one.set_epoch(3)
    assert positions(list(left)) == positions(list(whole))


def test_too_few_images_for_the_processes_are_an_error() -> None:
    with pytest.raises(FishError, match="3 training images are too few for 2 processes"):
        batches(3, 8, 2)


def test_without_a_seed_each_fit_has_its_own_order_and_torchs_seed_decides_it(
    datamodule: FishDataModule,
) -> None:
    orders = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        datamodule.setup("fit")
        orders.append(torch.cat([raw["index"] for raw in datamodule.train_dataloader()]).tolist())
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert sorted(orders[0]) == datamodule.split.train.tolist()


def test_the_middle_of_an_epoch_goes_on_with_the_same_batches_or_is_refused(
    datamodule: FishDataModule,
) -> None:
    datamodule.load_state_dict({"seed": 4, "epoch": 1, "images": 18, "rows": 9})
    (left,) = datamodule.train_dataloader()
    assert left["share"] == (4, 1, 18, 9, 0, 9)
    with pytest.raises(FishError, match="with batches of 12 images over all processes and the"):
        datamodule.load_state_dict({"seed": 4, "epoch": 1, "images": 12, "rows": 12})
    # Between epochs everything may be different.
    datamodule.load_state_dict({"seed": 4, "epoch": 1, "images": 0, "rows": 12})
    assert len(list(datamodule.train_dataloader())) == 3


def test_the_middle_of_an_epoch_is_refused_where_its_images_come_in_another_order(
    datamodule: FishDataModule,
) -> None:
    state = {"seed": 4, "epoch": 1, "images": 9, "rows": 9}
    datamodule.seed = 4
    order = datamodule.train_dataloader().sampler.digest(1)  # type: ignore[attr-defined]
    datamodule.load_state_dict({**state, "order": order})
    train = datamodule.datasets["train"]
    train.indices = train.indices[1:]
    with pytest.raises(FishError, match="the images come in another order now"):
        datamodule.load_state_dict({**state, "order": order})
    datamodule.load_state_dict({**state, "images": 0})
