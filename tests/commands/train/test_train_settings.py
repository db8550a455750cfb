"""Which devices a training may be given."""

import pytest

from fishcnn.commands.train.train_settings import gpus


@pytest.mark.parametrize("value", [1, 4, -1, "-1", "auto", [0, 3], "0,1", "2,"])
def test_gpus_are_named_as_lightning_takes_them(value: object) -> None:
    assert gpus(4)(value) is None


@pytest.mark.parametrize("value", [0, 5, 1e5, -2, "all", [4], [], [0, 0], "0,0", "0,x", True, None])
def test_gpus_that_are_not_there_are_refused(value: object) -> None:
    assert gpus(4)(value)
