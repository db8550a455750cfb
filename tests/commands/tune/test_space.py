"""What a search varies, read and checked."""

from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, open_dict

from fishcnn.commands.arguments import read_arguments
from fishcnn.commands.known_settings import KnownSettings
from fishcnn.commands.settings import CONF
from fishcnn.commands.tune.space import Choice, Range, read_space
from fishcnn.commands.tune.tune import check_tune
from fishcnn.utils.errors import FishError

GROUPS = KnownSettings("train").groups


def composed(*overrides: str, search: dict[str, Any] | None = None) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("tune", [*overrides])
    if search is not None:
        with open_dict(config):
            config.search = search
    return config


def test_the_default_space_is_what_its_file_says() -> None:
    space = {entry.name: entry for entry in read_space(composed(), GROUPS)}
    assert space["model.blocks"] == Range("model.blocks", 2, 5, log=False)
    assert space["model.blocks"].is_whole
    assert space["optimizer.lr"] == Range("optimizer.lr", 3e-4, 1e-2, log=True)
    assert space["augment"] == Choice("augment", ("none", "seed", "strong"))
    assert space["data.batch_size"].is_whole
    check_tune(composed())


def test_any_setting_can_be_varied() -> None:
    search = {
        "loss": {"label_smoothing": {"low": 0, "high": 1}},
        "trainer": {"gradient_clip_val": [None, 1.0]},
        "augment": {"crop_scale": [[0.3, 1.0], [0.6, 1.0]]},
        "scheduler": ["plateau", "onecycle"],
    }
    space = read_space(composed(search=search), GROUPS)
    assert space == [
        Range("loss.label_smoothing", 0.0, 1.0, log=False),
        Choice("trainer.gradient_clip_val", (None, 1.0)),
        Choice("augment.crop_scale", ("[0.3, 1.0]", "[0.6, 1.0]"), typed=True),
        Choice("scheduler", ("plateau", "onecycle")),
    ]
    assert not space[0].is_whole  # type: ignore[union-attr]
    assert space[2].nearest([0.6, 1.0]) == "[0.6, 1.0]"


def test_entries_are_typed_without_knowing_hydra() -> None:
    typed = ["search.model.blocks=[2,3]", "search.loss.label_smoothing.low=0", "~search.augment"]
    typed += ["search.loss.label_smoothing.high=0.2", "+search.scheduler=[plateau,onecycle]"]
    typed += ["~search.model.head", "search.optimizer.lr.high=5e-3"]
    space = read_space(composed(*read_arguments("tune", typed)), GROUPS)
    assert {entry.name: entry.described() for entry in space} == {
        "model.blocks": [2, 3],
        "model.dropout": {"low": 0.0, "high": 0.5, "log": False},
        "optimizer.lr": {"low": 3e-4, "high": 5e-3, "log": True},
        "optimizer.weight_decay": {"low": 1e-6, "high": 1e-2, "log": True},
        "data.batch_size": {"low": 16, "high": 128, "log": True},
        "loss.label_smoothing": {"low": 0.0, "high": 0.2, "log": False},
        "scheduler": ["plateau", "onecycle"],
    }
    with pytest.raises(FishError, match=r"search.model.blocks: has no value; type a list"):
        read_arguments("tune", ["++search.model.blocks"])


def test_a_number_has_no_more_digits_than_it_takes() -> None:
    entry = Range("optimizer.lr", 3e-4, 1e-2, log=True)
    assert entry.as_set(0.0012345678) == 0.001235
    assert entry.nearest(1.0) == 1e-2
    assert entry.nearest("high") is None
    blocks = Range("model.blocks", 2, 5, log=False)
    assert [blocks.nearest(value) for value in (7, 3.7, float("inf"))] == [5, 4, 5]
    # Fewer digits of the end would lie beyond it.
    assert Range("model.dropout", 0.0, 0.99999, log=False).as_set(0.99999) == 0.99999


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"model": None}, "search.model=null: type a list of values in brackets"),
        ({"model": {"blocks": {"low": 5, "high": 2}}}, "search.model.blocks.low=5: must be below"),
        ({"model": {"blocks": {"low": 2, "high": 2}}}, "search.model.blocks.low=2: must be below"),
        (
            {"model": {"blocks": {"low": 2.5, "high": 4}}},
            "search.model.blocks.low=2.5: must be a w",
        ),
        ({"model": {"blocks": {"low": 2}}}, "search.model.blocks has no high: add search.model.bl"),
        ({"model": {"blocks": {"low": 2, "high": "x"}}}, "search.model.blocks.high=x: must be a n"),
        ({"model": {"blocks": {"low": 2, "high": 4, "step": 2}}}, "search.model.blocks.step: choo"),
        ({"model": {"blocks": 3}}, "search.model.blocks=3: type a list of values in brackets"),
        ({"model": {"blocks": [3]}}, "search.model.blocks=[3]: a choice needs two values or more;"),
        ({"model": {"blocks": [3, 3]}}, "search.model.blocks=[3, 3]: names a value twice"),
        ({"model": {"block": [2, 3]}}, "search.model.block: there is no setting model.block of mo"),
        ({"modle": {"blocks": [2, 3]}}, "search.modle.blocks: there is no setting modle.blocks; d"),
        ({"model": ["cnn", "vgg"]}, "search.model=[cnn, vgg]: model=vgg is not there; choose from"),
        ({"callbacks": {"ema": [1, 2]}}, "search.callbacks.ema: callbacks.ema is a group of set"),
        ({"model": {"head": {"low": 1, "high": 2}}}, "search.model.head.low=1: model.head is no"),
        (
            {"model": {"head": ["gap", "gab"]}},
            "search.model.head=[gap, gab]: model.head=gab: choos",
        ),
        (
            {"model": {"dropout": {"low": 0, "high": 2}}},
            "search.model.dropout.high=2.0: model.drop",
        ),
        (
            {"optimizer": {"lr": {"low": 0, "high": 1, "log": True}}},
            "search.optimizer.lr.low=0: must be above 0, as search.optimizer.lr.log=true",
        ),
        (
            {"optimizer": {"lr": {"low": 0.1, "high": 1, "log": "yes"}}},
            "search.optimizer.lr.log=yes: must be true or false",
        ),
    ],
)
def test_what_cannot_be_varied_is_named(search: dict[str, Any], message: str) -> None:
    with pytest.raises(FishError) as caught:
        check_tune(composed(search=search))
    assert str(caught.value).startswith(message)


def test_a_setting_of_another_network_is_named() -> None:
    with pytest.raises(FishError, match=r"no setting model.head of model=timm; leave it out by ~s"):
        check_tune(composed("model=timm", search={"model": {"head": ["gap", "flatten"]}}))


@pytest.mark.parametrize("typed", ["ckpt_path=last", "find_lr=true", "trainer.devices=2"])
def test_what_belongs_to_a_single_training_is_refused(typed: str) -> None:
    with pytest.raises(FishError):
        check_tune(composed(typed))
