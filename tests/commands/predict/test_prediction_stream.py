"""Paths to rows, in order, in bounded memory."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
import torch
from networks import small_classifier

from fishcnn.commands.predict.prediction_rows import Row
from fishcnn.commands.predict.prediction_stream import Predictor, stream


def answer(paths: list[str]) -> list[Row]:
    return [Row(path, "koi", (("koi", 1.0),), None) for path in paths]


class Counted:
    """Numbers as paths, and how many of them have been taken."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.taken = 0

    def __iter__(self) -> Iterator[str]:
        for number in range(self.total):
            self.taken += 1
            yield str(number)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 30])
def test_probabilities_are_the_same_to_the_last_bit_at_every_batch_size(batch_size: int) -> None:
    classifier = small_classifier(
        [f"fish {k}" for k in range(20)],
        std=[0.2] * 3,
        image_size=32,
        working_size=40,
        model={"base_channels": 32, "max_channels": 64, "head": "flatten", "hidden": 128},
    )
    predictor = Predictor(classifier.eval(), threshold=0.0, top_k=20)
    images = np.random.default_rng(0).integers(0, 256, (48, 40, 40, 3), np.uint8)
    parts = range(0, 48, batch_size)
    ranked = [answer for i in parts for answer in predictor.rank(images[i : i + batch_size])]
    assert ranked == predictor.rank(images)
    assert sum(share for _, share in ranked[0]) == pytest.approx(1)


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (7, 3), (1000, 2)])
def test_rows_come_in_the_order_of_the_paths(batch_size: int, workers: int) -> None:
    def slow_first(paths: list[str]) -> list[Row]:
        time.sleep(0.02 if paths[0] == "0" else 0)
        return answer(paths)

    batches = stream(slow_first, iter(Counted(100)), batch_size=batch_size, workers=workers)
    assert [row.path for batch in batches for row in batch] == [str(n) for n in range(100)]


def test_paths_are_taken_only_as_they_are_needed() -> None:
    counted = Counted(100_000)
    written = 0
    with closing(stream(answer, iter(counted), batch_size=8, workers=3)) as batches:
        for batch in batches:
            assert counted.taken - written <= (2 * 3 + 1) * 8
            written += len(batch)
    assert written == 100_000


def test_whoever_stops_taking_rows_stops_the_work() -> None:
    begun = []

    def slow(paths: list[str]) -> list[Row]:
        begun.append(paths)
        time.sleep(0.3 if paths[0] == "1" else 0)
        return answer(paths)

    threads = threading.active_count()
    with closing(stream(slow, iter(Counted(1000)), batch_size=1, workers=1)) as batches:
        next(batches)
    assert begun in ([["0"]], [["0"], ["1"]])  # the second may not have begun yet
    assert threading.active_count() == threads


def test_each_worker_computes_on_one_core_and_the_process_gets_its_threads_back() -> None:
    seen = []

    def watch(paths: list[str]) -> list[Row]:
        seen.append(torch.get_num_threads())
        return answer(paths)

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        list(stream(watch, iter(Counted(4)), batch_size=1, workers=2))
        assert seen == [1, 1, 1, 1]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_an_error_of_a_worker_reaches_the_person() -> None:
    def broken(paths: list[str]) -> list[Row]:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(stream(broken, iter(Counted(10)), batch_size=2, workers=2))
