import pytest

from fishcnn.commands.train.own_settings import with_own_settings


@pytest.mark.parametrize(
    "typed", ["model=glob(*)", "optimizer.lr=interval(0.1,0.2)", "ckpt_path=glob(*)"]
)
def test_functions_of_hydra_are_left_to_hydra(typed: str) -> None:
    assert with_own_settings(["-m", typed]) == ["-m", typed]
