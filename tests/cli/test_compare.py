"""Runs compared by ``scripts/compare.py``."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from running import images_of, network_of, run_and_read, table

from fishcnn.commands.run_files import read_split
from fishcnn.utils.run_folder import RunFolder

FILES = {"leaderboard.md", "leaderboard.csv", "leaderboard.json", "pairs.csv"}


def test_a_run_writes_what_it_says_of_each_validation_image(trained: RunFolder) -> None:
    rows = table(trained.validation)
    assert [row["path"] for row in rows] == read_split(trained)["val"]
    summary = json.loads(trained.summary.read_text())
    right = np.mean([row["label"] == row["prediction"] for row in rows])
    assert right == summary["val_acc"]
    assert 0 < right < 1
    assert [row["label"] for row in rows] == [Path(row["path"]).parent.name for row in rows]
    files = [images_of(trained) / row["path"] for row in rows]
    for row, answer in zip(rows, network_of(trained).predict(files), strict=True):
        assert row["prediction"] == answer.label
        assert float(row["probability"]) == pytest.approx(answer.probability, abs=0.02)
    assert len({row["digest"] for row in rows}) == len(rows) == summary["val_pictures"]


def test_one_run_alone_is_shown_without_being_compared(trained: RunFolder) -> None:
    status, printed = run_and_read("compare", "runs/first", "runs", str(trained.best_checkpoint))
    assert status == 0, printed
    assert {path.name for path in Path("comparison").iterdir()} == FILES
    (row,) = table(Path("comparison/leaderboard.csv"))
    summary = json.loads(trained.summary.read_text())
    assert float(row["val_acc"]) == pytest.approx(summary["val_acc"], abs=1e-5)
    assert (row["rank"], row["run"], row["state"]) == ("1", "first", "finished")
    best = next(r for r in table(trained.metrics) if int(r["epoch"]) == summary["best_epoch"])
    assert float(row["energy_on_fish"]) == pytest.approx(float(best["cam_energy_on_fish"]))
    assert Path(row["checkpoint"]) == Path(summary["checkpoint"])
    assert "compared" not in printed.lower()
    assert table(Path("comparison/pairs.csv")) == []


def test_a_sweep_is_compared_from_what_its_jobs_have_written(
    train: Callable[..., Any],
    script: Callable[..., Any],
    tiny: list[str],
    tmp_path: Path,
    fish: Path,
) -> None:
    shutil.copytree(fish / "pictures", tmp_path / "meine fotos মাছ")
    quick = [one for one in tiny if "root" not in one] + ["logger=none", "trainer.max_epochs=1"]
    typed = ["data.root=meine fotos মাছ", "model.blocks=1,2", "optimizer.lr=0.001,0.01"]
    finished = train("-m", *quick, *typed, "callbacks.grad_cam.enabled=false", "hydra.sweep.dir=s")
    assert finished.status == 0, finished.err
    output = tmp_path / "s" / "comparison"
    assert str(output / "leaderboard.md") in finished.out.splitlines()
    assert finished.out.count("Train the best again") == 1
    shutil.rmtree(output)
    compared = script("compare", "s")
    assert compared.status == 0, compared.err
    figures = {"main_effects.png", "heat_map.png", "accuracy_by_seconds.png"}
    assert {path.name for path in output.iterdir()} == FILES | figures
    (data,) = json.loads((output / "leaderboard.json").read_text())["data"]
    assert data["varied"] == ["model.blocks", "optimizer.lr"]
    accuracies = [one["val_acc"] for one in data["configurations"]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert len(data["pairs"]) == 6
    effects = {one["name"]: one for one in data["effects"]["settings"]}
    summaries = [json.loads((tmp_path / f"s/{job}/summary.json").read_text()) for job in range(4)]
    means = [np.mean([one["val_acc"] for one in summaries[start : start + 2]]) for start in (0, 2)]
    assert [v["mean"] for v in effects["model.blocks"]["values"]] == pytest.approx(means)
    assert "Train the best again" in compared.out
    command = shlex.split(data["best_command"])
    assert f"data.root={tmp_path / 'meine fotos মাছ'}" in [w.replace("'", "") for w in command]
    best = data["configurations"][0]["runs"][0]
    assert f"model.blocks={best['model.blocks']}" in command
    for figure in figures:
        with Image.open(output / figure) as image:
            assert min(image.size) > 100


def test_files_of_an_earlier_comparison_go_and_others_stay(trained: RunFolder) -> None:
    Path("out").mkdir()
    foreign = Path("out/heat_map_of_mine.png")
    foreign.touch()
    assert run_and_read("compare", "runs", "output=out")[0] == 0
    assert foreign.exists()
    Path("out/heat_map.png").touch()
    assert run_and_read("compare", "runs", "output=out")[0] == 0
    assert not Path("out/heat_map.png").exists()
    assert foreign.exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["nothing/here"], "error: paths: nothing/here: there is no such file or folder in "),
        (["empty"], "error: paths: empty: holds no run; name run folders, sweeps, or"),
        (["runs", "paths=[empty]"], "type paths alone, or all of them as 'paths=[a,b]'"),
        (["rows=-1"], "error: rows=-1: must be a whole number, 0 or more"),
        (["paths=empty"], "error: paths=empty: must be a list in brackets, with commas"),
        (["paths=[]"], "error: paths=[]: must be text"),
    ],
)
def test_what_cannot_be_compared_is_said(trained: RunFolder, typed: list[str], said: str) -> None:
    Path("empty").mkdir()
    status, printed = run_and_read("compare", *typed)
    assert status == 1
    assert said in printed
    assert not Path("comparison").exists()
