import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Command
from omegaconf import OmegaConf
from running import images_of, table

from fishcnn.commands.run_files import read_config
from fishcnn.commands.settings import CONF, plain
from fishcnn.commands.train.continued import _leaves
from fishcnn.utils.run_folder import RunFolder

FAST = ["logger=none", "callbacks.grad_cam.enabled=false", "callbacks.early_stopping.patience=9"]


def settings(run: RunFolder) -> dict[str, Any]:
    return _leaves(read_config(run))


def test_a_run_goes_on_under_its_own_settings_with_those_that_are_typed(
    train: Command, trained: RunFolder
) -> None:
    # As a version with another default has left it.
    trained.config.write_text(trained.config.read_text().replace("hue: 0.1", "hue: 0.01"))
    finished = train("ckpt_path=last", "trainer.max_epochs=5", *FAST, "hydra.run.dir=runs/second")
    assert finished.status == 0, finished.err
    second = RunFolder(trained.path.with_name("second"))
    assert [row["epoch"] for row in table(second.metrics)] == ["1", "2", "3", "4", "5"]
    longer = ["train.py", f"ckpt_path={second.path.absolute()}", "trainer.max_epochs=30"]
    assert " ".join(longer) in finished.out
    before, now = settings(trained), settings(second)
    assert before["augment.hue"] == 0.01
    assert {name: now[name] for name in now if before.get(name, "") != now[name]} == {
        "trainer.max_epochs": 5,
        "ckpt_path": "last",
        "logger.name": "none",
        "logger.graph": False,
        "callbacks.grad_cam.enabled": False,
        "callbacks.early_stopping.patience": 9,
    }
    assert before.keys() == now.keys()
    # And so on, also from another folder.
    (trained.path.parents[1] / "elsewhere").mkdir()
    third = train(f"ckpt_path={second.path}", "trainer.max_epochs=6", "hydra.run.dir=runs/third")
    assert third.status == 0, third.err
    third_run = RunFolder(trained.path.with_name("third"))
    now = settings(third_run)
    assert (now["callbacks.early_stopping.patience"], now["logger.name"]) == (9, "none")
    assert "data=folder" in yaml.safe_load(third_run.overrides.read_text())
    # The same command again finds nothing left to do.
    again = train(f"ckpt_path={second.path}", "trainer.max_epochs=6", "hydra.run.dir=runs/third")
    assert again.status == 0, again.err
    assert f"train.py ckpt_path={third_run.path} trainer.max_epochs=12" in again.out


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["model.blocks=1"], "model.blocks=1 (2 in that run)"),
        (["seed=1", "data.split_seed=2"], "seed=1 (0 in that run), data.split_seed=2 (0 in that"),
        (["optimizer.lr=5e-5"], "optimizer.lr=5e-05 (0.002 in that run)"),
        (["optimizer=sgd", "optimizer.momentum=0.5"], "optimizer=sgd (adam in that run);"),
        (["scheduler=cosine"], "scheduler=cosine (plateau in that run);"),
        (["model=torchvision", "model.architecture=resnet34"], "model=torchvision (cnn in that"),
        (["data=synthetic", "data.species=3"], "data=synthetic (folder in that run);"),
        (["data.val_fraction=0.5"], "data.val_fraction=0.5 (0.6 in that run)"),
        (["data.group_regex=^a"], "data.group_regex=^a (null in that run)"),
        (["data.layout=classes"], "data.layout=classes (auto in that run)"),
        (["callbacks.ema.decay=0.5"], "callbacks.ema.decay=0.5 (0.99 in that run)"),
        (["experiment=best"], "callbacks.ema.decay=0.995 (0.99 in"),
        (["trainer.gradient_clip_val=1"], "trainer.gradient_clip_val=1 (null in that run)"),
        (["+trainer.limit_train_batches=1"], "limit_train_batches=1 (not set in that run)"),
        (["~loss.label_smoothing"], ": ~loss.label_smoothing (0.0 in that run)"),
        (["-m", "seed=0,1"], "seed=1 (0 in that run)"),
        (["data.species=5"], "first goes on with its own settings, of which data=folder has no"),
        (["-m", "data.species=5,6"], " data.species; leave it out, or leave out ckpt_path= to"),
    ],
)
def test_what_would_make_another_run_is_refused_by_name_with_both_values(
    train: Command, trained: RunFolder, typed: list[str], told: str
) -> None:
    finished = train("ckpt_path=last", "trainer.max_epochs=4", *typed)
    assert finished.status == 1
    assert told in finished.err
    assert "Traceback" not in finished.err


def test_a_run_on_drawn_images_goes_on_with_no_others(
    train: Command, tiny: list[str], fish: Path
) -> None:
    few = ["data.species=3", "data.pictures_per_class=8", "data.long_side=48"]
    drawn = [*few, *(one for one in tiny if "root=" not in one and one != "data=folder"), *FAST]
    begun = train(*drawn, "trainer.max_epochs=1", "hydra.run.dir=runs/1")
    assert begun.status == 0, begun.err
    finished = train("ckpt_path=last", str(fish / "pictures"), "trainer.max_epochs=2")
    said = "runs/1 goes on with its own settings, of which data=synthetic has no data.root; leave"
    assert said in finished.err
    shutil.copy("runs/1/checkpoints/last.ckpt", "alone.ckpt")
    finished = train("ckpt_path=alone.ckpt", *drawn, "data.species=4", "trainer.max_epochs=2")
    assert re.search(
        r"alone\.ckpt was trained on 3 classes \(\w+, \w+, \w+\); data\.species=4 gives 4 "
        r"classes \(.*\): set it as it was, or leave out ckpt_path= to begin another run$",
        finished.err.strip(),
    )


def test_what_a_run_was_begun_with_may_be_typed_again(train: Command, trained: RunFolder) -> None:
    same = ["data=folder", "model=cnn", "model.blocks=2", "seed=0", "data.val_fraction=0.6"]
    finished = train("ckpt_path=runs/first", *same, "trainer.max_epochs=4")
    assert "has been trained for 4 epochs already" in finished.err


def test_augmentation_and_what_is_watched_may_differ(train: Command, trained: RunFolder) -> None:
    watched = [f"callbacks.{name}.enabled=false" for name in plain(read_config(trained).callbacks)]
    watched.remove("callbacks.ema.enabled=false")
    finished = train("ckpt_path=last", "trainer.max_epochs=4", *watched, "augment=strong")
    assert "has been trained for 4 epochs already" in finished.err
    more = ["trainer.max_epochs=5", *FAST, "augment=none", "hydra.run.dir=runs/second"]
    finished = train("ckpt_path=last", *more)
    assert finished.status == 0, finished.err
    now = settings(RunFolder(trained.path.with_name("second")))
    assert {name: now[name] for name in now if name.startswith("augment.")} == {
        f"augment.{name}": value
        for name, value in OmegaConf.load(CONF / "augment/none.yaml").items()
    }


def test_folders_are_those_of_the_run_wherever_its_choice_of_data_is_typed_again(
    train: Command, trained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Typed for the run where somebody stood then.
    overrides = yaml.safe_load(trained.typed.read_text())
    there = [one for one in overrides if not one.startswith("data.root=")]
    trained.typed.write_text(yaml.safe_dump([*there, "data.root=images"]))
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    finished = train(f"ckpt_path={trained.path}", "data=folder", "trainer.max_epochs=4")
    assert "has been trained for 4 epochs already" in finished.err


def test_images_that_have_moved_are_found_and_others_are_refused(
    train: Command, trained: RunFolder
) -> None:
    shutil.copytree(images_of(trained), "moved/images")
    more = ["trainer.max_epochs=5", *FAST]
    there = ["data.root=moved/images", "data.masks_root=null"]
    finished = train("ckpt_path=runs/first", *more, *there, "hydra.run.dir=runs/second")
    assert finished.status == 0, finished.err
    second = settings(RunFolder(trained.path.with_name("second")))
    assert second["data.root"] == str(Path("moved/images").absolute())
    assert second["data.masks_root"] is None
    first, other = sorted(Path("moved/images").rglob("*.jpg"))[:2]
    first.write_bytes(other.read_bytes())
    finished = train("ckpt_path=runs/first", *more, *there)
    assert finished.status == 1
    assert "1 are different from then" in finished.err
    finished = train("ckpt_path=runs/second", *more, "trainer.max_epochs=6")
    assert finished.status == 1
    assert "1 are different from then" in finished.err


def test_a_sweep_goes_on_with_several_runs_each_under_its_settings(
    train: Command, trained: RunFolder
) -> None:
    # A run with another choice among those that may differ.
    other = Path(shutil.copytree(trained.path, trained.path.with_name("other")))
    config = RunFolder(other).config
    config.write_text(config.read_text().replace("every_n_epochs: 1", "every_n_epochs: 7"))
    more = ["trainer.max_epochs=5", *FAST, "hydra.sweep.dir=sweep"]
    finished = train("-m", "ckpt_path=runs/first,runs/other", *more)
    assert finished.status == 0, finished.err
    jobs = [RunFolder(Path("sweep") / job) for job in "01"]
    assert [json.loads(job.summary.read_text())["epochs"] for job in jobs] == [5, 5]
    each = [settings(job)["callbacks.grad_cam.every_n_epochs"] for job in jobs]
    assert each == [1, 7]


def test_a_checkpoint_outside_its_run_needs_the_settings_of_its_network(
    train: Command, trained: RunFolder
) -> None:
    shutil.copy(trained.last_checkpoint, "alone.ckpt")
    data = ["data=folder", f"data.root={images_of(trained)}", "data.image_size=32"]
    finished = train("ckpt_path=alone.ckpt", *data, "trainer.max_epochs=5")
    assert finished.status == 1
    assert "alone.ckpt was trained with other settings: add model.blocks=2" in finished.err


def test_all_jobs_of_a_sweep_go_on_with_the_run_that_was_last_before_it(
    train: Command, trained: RunFolder
) -> None:
    # The second job could not go on with the first one, which has been trained for longer.
    command = ["-m", "ckpt_path=last", "trainer.max_epochs=6,5", *FAST, "hydra.sweep.dir=runs/more"]
    finished = train(*command)
    assert finished.status == 0, finished.err
    jobs = [RunFolder(trained.path.with_name("more") / job) for job in "01"]
    assert [json.loads(job.summary.read_text())["epochs"] for job in jobs] == [6, 5]
    # Typed again after a kill between the jobs, the same command does what was left.
    shutil.rmtree(jobs[1].path)
    finished = train(*command)
    assert finished.status == 0, finished.err
    assert json.loads(jobs[1].summary.read_text())["epochs"] == 5
