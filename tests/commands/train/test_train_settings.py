"""Which devices and which arguments of Lightning a training may be given."""

from inspect import signature
from pathlib import Path

import pytest
import pytorch_lightning as pl
from omegaconf import open_dict

from fishcnn.commands.build import compose_config
from fishcnn.commands.train.train_settings import check_train, gpus
from fishcnn.utils.errors import FishError


@pytest.mark.parametrize("value", [1, 4, -1, "-1", "auto", [0, 3], "0,1", "2,"])
def test_gpus_are_named_as_lightning_takes_them(value: object) -> None:
    assert gpus(4)(value) is None


@pytest.mark.parametrize("value", [0, 5, 1e5, -2, "all", [4], [], [0, 0], "0,0", "0,x", True, None])
def test_gpus_that_are_not_there_are_refused(value: object) -> None:
    assert gpus(4)(value)


def test_no_argument_of_lightning_takes_every_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    free = {"default_root_dir", "model_registry"}
    config = compose_config()
    before = config.trainer.copy()
    for name in signature(pl.Trainer).parameters.keys() - free:
        with open_dict(config):
            config.trainer = {**before, name: "no"}
        with pytest.raises(FishError, match=r"^trainer"):
            check_train(config)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "typed",
    [
        "accumulate_grad_batches=2",
        "limit_train_batches=0.5",
        "limit_val_batches=2",
        "max_steps=-1",
        "max_time={hours: 1}",
        "max_time='00:01:00:00'",
        "gradient_clip_algorithm=value",
    ],
)
def test_arguments_of_lightning_can_be_added(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_train(compose_config(f"+trainer.{typed}"))
    assert list(tmp_path.iterdir()) == []


def test_a_probe_alone_has_nothing_to_train_for_more_than_an_epoch() -> None:
    with pytest.raises(FishError, match=r"^trainer\.max_epochs=2: .*experiment=finetune"):
        check_train(compose_config("experiment=probe", "trainer.max_epochs=2"))
