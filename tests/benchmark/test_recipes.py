"""The part ``results``: accuracy and seconds of the recipes on somebody's images."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from fishcnn.benchmark.benchmark import benchmark, check_benchmark
from fishcnn.benchmark.recipes import markdown, summarise
from fishcnn.commands.settings import CONF
from fishcnn.metrics.intervals import wilson_interval
from fishcnn.utils.errors import FishError


def configured(**results: Any) -> DictConfig:
    """The real configuration, for the part ``results`` alone."""
    loaded = OmegaConf.load(CONF / "benchmark.yaml")
    del loaded["defaults"], loaded["hydra"]
    OmegaConf.set_struct(loaded, True)
    merged = OmegaConf.merge(loaded, {"parts": "results", "threads": 1, "results": results})
    assert isinstance(merged, DictConfig)
    return merged


def one(experiment: str, seed: int, accuracy: float, **more: Any) -> dict[str, Any]:
    run = {"images": 142, "epochs": 80, "seconds": 100.0, "date": f"2026-11-2{seed}T10:00:00+00:00"}
    return {"experiment": experiment, "seed": seed, "accuracy": accuracy, **run, **more}


def test_a_recipe_has_the_mean_of_its_seeds_with_the_interval_of_its_images() -> None:
    runs = [one("seed", 0, 0.2), one("best", 0, 0.5), one("seed", 1, 0.3, seconds=300.0)]
    seed, best = summarise(runs)
    assert seed["accuracies"] == {"0": 0.2, "1": 0.3}
    assert seed["accuracy"] == pytest.approx(0.25)
    # Two seeds on 142 images are no 284 images.
    assert seed["interval"] == wilson_interval(36, 142)
    assert seed["seconds"] == 200
    assert seed["dates"] == ["2026-11-20T10:00:00+00:00", "2026-11-21T10:00:00+00:00"]
    assert best["experiment"] == "best"
    assert best["accuracy"] == 0.5


def test_the_table_can_be_pasted_into_a_readme() -> None:
    low, high = wilson_interval(36, 142)
    assert markdown(summarise([one("seed", 0, 0.2), one("seed", 1, 0.3), one("best", 0, 0.5)])) == [
        "| recipe | seed 0 | seed 1 | mean | 95% interval | epochs | seconds | date |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        f"| `experiment=seed` | 0.200 | 0.300 | 0.250 | {low:.3f} to {high:.3f} | 80 | 100 "
        "| 2026-11-21 |",
        "| `experiment=best` | 0.500 |  | 0.500 | 0.419 to 0.581 | 80 | 100 | 2026-11-20 |",
    ]


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({}, "results.root is not set: add results.root=/path/to/images"),
        ({"root": "missing"}, "results.root=missing: is not a folder"),
        ({"root": ".", "experiments": ["nothing"]}, "choose one of best, "),
        ({"root": ".", "overrides": ["optimizer.lr=-1"]}, "optimizer.lr=-1"),
    ],
)
def test_what_would_stop_a_recipe_is_said_before_the_first_one(
    results: dict[str, Any], message: str
) -> None:
    with pytest.raises(FishError, match=message):
        check_benchmark(configured(**results))


def test_a_package_that_is_missing_is_named_before_the_first_recipe(
    fish: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(FishError, match=r"pip install 'fishcnn\[pretrained\]'"):
        check_benchmark(configured(root=str(fish / "pictures")))
    check_benchmark(configured(root=str(fish / "pictures"), experiments=["seed", "best"]))


@pytest.mark.slow
def test_finished_runs_are_not_made_again(
    fish: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["trainer.max_epochs=2", "data.image_size=32", "model.blocks=2", "model.hidden=16"]
    results = {"root": str(fish / "pictures"), "experiments": ["seed"], "overrides": small}
    found = []
    for seeds in ([0], [0, 1], [1]):
        config = configured(**results, seeds=seeds)
        config.output = str(tmp_path)
        benchmark(config)
        found.append(json.loads((tmp_path / "results.json").read_text()))
    first, both, second = found
    assert second == both  # what took hours is not thrown away
    assert [run["seed"] for run in both["runs"]] == [0, 1]
    assert both["runs"][0] == first["runs"][0]
    for run in both["runs"]:
        assert run["epochs"] == 2
        assert 0 <= run["accuracy"] <= 1
        assert run["images"] == 7
        assert run["seconds"] > 0
        assert run["date"][:2] == "20"
    assert both["machine"]["torch"]
    assert both["machine"]["processor"]
    printed = capsys.readouterr().out
    assert f"| `experiment=seed` | {both['runs'][0]['accuracy']:.3f} |" in printed
    assert not (tmp_path / "benchmark.json").exists()
    config = configured(**{**results, "overrides": [*small, "seed=3"]}, seeds=[0])
    config.output = str(tmp_path)
    with pytest.raises(FishError, match="runs with another overrides: choose another folder"):
        benchmark(config)
    assert json.loads((tmp_path / "results.json").read_text()) == both
