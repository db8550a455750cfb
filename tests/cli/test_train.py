"""Whole runs through the real command line, on rendered images."""

import csv
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fishcnn.commands.build import compose_config
from fishcnn.commands.train.train_settings import check_train
from fishcnn.models.classifier import FishClassifier
from fishcnn.models.networks.cnn import FishCNN
from fishcnn.training.callbacks.resuming import Resuming
from fishcnn.utils.run_folder import RunFolder

pytestmark = [
    # TensorBoard traces the network for its Graphs tab; torch prefers other ways.
    pytest.mark.filterwarnings("ignore:.*torch.jit"),
    # Lightning turns its own warnings into output, which is what is looked at here.
    pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning"),
]

Command = Callable[..., Any]

# For what needs no more than a checkpoint and a summary.
QUICK = ["trainer.max_epochs=1", "logger=none", "callbacks.grad_cam.enabled=false"]


def events(run: Path) -> EventAccumulator:
    folder = RunFolder(run).events("")
    return EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()


def rows(run: RunFolder) -> list[dict[str, str]]:
    with run.metrics.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def typed(run: RunFolder) -> list[str]:
    """What was typed for a run."""
    overrides: list[str] = yaml.safe_load(run.overrides.read_text())
    return overrides


def test_a_run_leaves_everything_that_was_promised(trained: RunFolder) -> None:
    summary = json.loads(trained.summary.read_text())
    assert set(summary) >= {
        "best_epoch",
        "epochs",
        "val_acc",
        "val_acc_interval",
        "val_loss",
        "val_f1",
        "seconds",
        "seconds_to_first_step",
        "val_pictures",
        "train_images_per_second",
        "checkpoint",
        "classes",
        "diagnosis",
    }
    assert summary["epochs"] == 4
    low, high = summary["val_acc_interval"]
    assert low <= summary["val_acc"] <= high
    assert 0 < summary["seconds_to_first_step"] < summary["seconds"]
    config = yaml.safe_load(trained.config.read_text())
    images = Path(config["data"]["root"])
    assert summary["classes"] == sorted(path.name for path in images.iterdir())
    assert summary["diagnosis"][0] == "too short"

    metrics = rows(trained)
    assert [row["epoch"] for row in metrics] == ["1", "2", "3", "4"]
    best = min(metrics, key=lambda row: float(row["val_loss"]))
    assert int(best["epoch"]) == summary["best_epoch"]
    assert float(best["val_acc"]) == pytest.approx(summary["val_acc"], abs=1e-5)
    assert float(best["val_loss"]) == pytest.approx(summary["val_loss"], rel=0.02)
    for column in ("train_loss", "train_acc", "val_f1", "val_top3", "lr", "cam_energy_on_fish"):
        assert all(row[column] for row in metrics), column
    # How long the network waits for data.
    assert all(0 < float(row["data_wait"]) < 1 for row in metrics)

    for name in ("loss_per_iteration", "curves", "confusion_matrix", "grad_cam", "train_batch"):
        with Image.open(trained.figures / f"{name}.png") as figure:
            assert min(figure.size) >= 200
    assert config["model"]["blocks"] == 2
    assert config["trainer"]["max_epochs"] == 4
    versions = json.loads(trained.versions.read_text())
    assert versions["torch"] == torch.__version__.split("+")[0]
    assert versions["git_commit"]
    split = json.loads(trained.split.read_text())
    assert len(split["train"]) + len(split["val"]) == 36
    assert "Too short" in trained.diagnosis.read_text()
    assert "| class |" in trained.data_report.read_text()

    classifier = FishClassifier.load_from_checkpoint(trained.best_checkpoint, weights_only=True)
    assert classifier.predict(images / split["val"][0])[0].label in summary["classes"]
    assert trained.last_checkpoint.is_file()


def test_a_learning_rate_is_found_and_the_command_that_trains_with_it_is_printed(
    train: Command, tiny: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    found = train(*tiny, "optimizer.lr=1", "find_lr=true", f"hydra.run.dir={run}")
    assert found.status == 0, found.err
    with Image.open(run / "figures" / "learning_rate.png") as figure:
        assert figure.width > 500
    assert not (run / "checkpoints").exists()
    (command,) = [line for line in found.out.splitlines() if "optimizer.lr=" in line]
    typed = shlex.split(command)[2:]
    (rate,) = [word.partition("=")[2] for word in typed if word.startswith("optimizer.lr=")]
    assert 1e-5 < float(rate) < 0.5
    assert not any(word.startswith("find_lr") for word in typed)
    trained = train(*typed)
    assert trained.status == 0, trained.err
    assert (run / "summary.json").is_file()


def test_a_learning_rate_that_is_far_too_high_is_diagnosed_and_crashes_nothing(
    train: Command, tiny: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    settings = ["optimizer=sgd", "optimizer.lr=1e3", "trainer.max_epochs=3"]
    finished = train(*tiny, *settings, f"hydra.run.dir={run}")
    assert finished.status == 0, finished.err
    summary = json.loads((run / "summary.json").read_text())
    assert summary["diagnosis"][0] == "learning rate too high"
    assert summary["val_loss"] is None or summary["val_loss"] > 1
    for line in (
        "optimizer.lr=",
        "95% interval",
        f"run: {run}",
        f"checkpoint: {summary['checkpoint']}",
        f"figures: {run}/figures",
        f"TensorBoard logs: {run}",
        f"tensorboard --logdir {run} ",
    ):
        assert line in finished.out


def test_what_cannot_be_read_is_named_and_left_out(
    train: Command, tiny: list[str], fish: Path, tmp_path: Path
) -> None:
    root = tmp_path / "messy"
    shutil.copytree(fish / "pictures", root)
    first, second, _ = sorted(root.iterdir())
    (first / "torn.jpg").write_bytes((first / "0000.jpg").read_bytes()[:300])
    (second / "notes.png").write_text("not a picture")
    (root / ".DS_Store").write_text("")
    (root / "empty").mkdir()
    run = tmp_path / "run"
    finished = train(
        *tiny,
        f"data.root={root}",
        "data.masks_root=null",
        "trainer.max_epochs=1",
        f"hydra.run.dir={run}",
    )
    assert finished.status == 0, finished.err
    assert "Left out 2 of 38 images" in finished.out
    report = (run / "data.md").read_text()
    for text in (f"{first.name}/torn.jpg", f"{second.name}/notes.png", "empty"):
        assert text in report
    split = json.loads((run / "split.json").read_text())
    assert len(split["train"]) + len(split["val"]) == 36


def test_tensorboard_shows_the_run_epoch_by_epoch(trained: RunFolder) -> None:
    seen = events(trained.path)
    tags = seen.Tags()
    groups = {tag.partition("/")[0] for tag in (*tags["scalars"], *tags["images"])}
    assert groups == {"train", "val", "cam", "system"}
    assert [event.step for event in seen.Images("cam/grad_cam")] == [1, 2, 3, 4]
    assert len(seen.Images("val/confusion_matrix")) == 1
    assert [event.step for event in seen.Images("train/batch")] == [1]
    iterations = [event.step for event in seen.Scalars("train/loss_per_iteration")]
    # Batches of 8; a last one that is too small for batch norm joins the one before.
    steps = len(json.loads(trained.split.read_text())["train"]) // 8 + 1
    assert iterations == list(range(1, 4 * steps + 1))
    assert [event.step for event in seen.Scalars("system/learning_rate")] == list(range(4 * steps))
    last = rows(trained)[-1]
    scores = {
        "train/loss": "train_loss",
        "train/accuracy": "train_acc",
        "val/loss": "val_loss",
        "val/accuracy": "val_acc",
        "val/macro_F1": "val_f1",
        "val/top-3_accuracy": "val_top3",
        "system/data_wait": "data_wait",
    }
    for tag, column in scores.items():
        assert [event.step for event in seen.Scalars(tag)] == [1, 2, 3, 4], tag
        assert seen.Scalars(tag)[-1].value == pytest.approx(float(last[column]), rel=1e-5)
    # Training and validation in one chart, in two colours, above all others.
    for split, name in (("train", "train_acc"), ("val", "val_acc")):
        curve = EventAccumulator(str(trained.events("") / split)).Reload()
        assert min(*groups, *curve.Tags()["scalars"]) == "accuracy_and_loss/accuracy"
        (*_, point) = curve.Scalars("accuracy_and_loss/accuracy")
        assert point.step == 4
        assert point.value == pytest.approx(float(last[name]), rel=1e-5)
    assert tags["graph"]
    assert "data/text_summary" in tags["tensors"]
    assert "diagnosis/text_summary" in tags["tensors"]
    plugins = seen.summary_metadata
    assert plugins["_hparams_/session_start_info"].plugin_data.plugin_name == "hparams"


def test_the_same_command_gives_the_same_network(
    train: Command, tiny: list[str], tmp_path: Path
) -> None:
    weights = []
    for number, seed in enumerate((0, 0, 1)):
        run = tmp_path / str(number)
        assert train(*tiny, *QUICK, f"hydra.run.dir={run}", f"seed={seed}").status == 0
        state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        weights.append(state["network.blocks.0.0.weight"])
    assert torch.equal(weights[0], weights[1])
    assert not torch.allclose(weights[0], weights[2])


def test_a_sweep_trains_every_combination_whatever_happens_to_a_job(
    train: Command, tiny: list[str], tmp_path: Path
) -> None:
    sweep = tmp_path / "sweep"
    choices = ["model.blocks=0,1,2", "optimizer.lr=1e-3,5e-4"]
    shown = [*QUICK, "logger=tensorboard"]
    finished = train("-m", *tiny, *shown, *choices, f"hydra.sweep.dir={sweep}")
    assert finished.status == 1
    assert finished.err.count("error: model.blocks=0") == 2
    settings, names = set(), []
    for job in range(2, 6):
        config = yaml.safe_load((sweep / str(job) / "config.yaml").read_text())
        settings.add((config["model"]["blocks"], config["optimizer"]["lr"]))
        assert json.loads((sweep / str(job) / "summary.json").read_text())["epochs"] == 1
        run = RunFolder(sweep / str(job))
        assert "val/accuracy" in events(run.path).Tags()["scalars"]
        names.append(run.events("").name)
    assert settings == {(1, 1e-3), (1, 5e-4), (2, 1e-3), (2, 5e-4)}
    # What TensorBoard calls them.
    first = ["blocks=1,lr=0.001", "blocks=1,lr=0.0005"]
    assert names == [*first, "blocks=2,lr=0.001", "blocks=2,lr=0.0005"]
    # The second job finds the images of the first one.
    assert finished.out.count("Decoding 36 of 36 ") == 1


def test_a_job_that_crashes_does_not_hide_the_others(
    train: Command, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = FishCNN.forward

    def crash(self: FishCNN, images: torch.Tensor) -> torch.Tensor:
        if len(self.blocks) == 1:
            raise MemoryError("no memory for one block")
        return forward(self, images)

    monkeypatch.setattr(FishCNN, "forward", crash)
    sweep = tmp_path / "sweep"
    finished = train("-m", *tiny, *QUICK, "model.blocks=1,2", f"hydra.sweep.dir={sweep}")
    assert finished.status == 1
    assert "MemoryError: no memory for one block" in finished.err
    assert (sweep / "1" / "summary.json").is_file()
    assert len(json.loads((sweep / "sweep.json").read_text())["jobs"]) == 2
    alone = train(*tiny, "model.blocks=1")
    assert alone.status == 1
    assert "MemoryError" in alone.err


@pytest.mark.parametrize("balance", ["sampler", "loss"])
def test_a_run_can_be_balanced(
    train: Command, tiny: list[str], tmp_path: Path, balance: str
) -> None:
    run = tmp_path / "run"
    finished = train(*tiny, *QUICK, f"data.balance={balance}", f"hydra.run.dir={run}")
    assert finished.status == 0, finished.err
    weights = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["hyper_parameters"]
    assert (weights["class_weights"] is not None) == (balance == "loss")


def test_a_compiled_run_keeps_the_names_of_its_weights(
    train: Command,
    tiny: list[str],
    trained: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled = []

    def compile_eagerly(self: FishCNN) -> None:
        compiled.append(self)
        torch.nn.Module.compile(self, backend="eager")

    monkeypatch.setattr(FishCNN, "compile", compile_eagerly, raising=False)
    finished = train(*tiny, *QUICK, "trainer.compile=true", f"hydra.run.dir={tmp_path / 'run'}")
    assert finished.status == 0, finished.err
    assert len(compiled) == 1
    files = (trained.last_checkpoint, RunFolder(tmp_path / "run").last_checkpoint)
    states = [torch.load(file, weights_only=True)["state_dict"] for file in files]
    assert states[0].keys() == states[1].keys()


def test_last_continues_the_newest_run_where_it_stopped(train: Command, trained: RunFolder) -> None:
    before = rows(trained)
    steps = torch.load(trained.last_checkpoint, weights_only=True)["global_step"] // 4
    more = ["hydra.run.dir=runs/second", "trainer.max_epochs=5", "ckpt_path=last"]
    finished = train(*typed(trained), *more)
    assert finished.status == 0, finished.err
    second = RunFolder(trained.path.parent / "second")
    assert [row["epoch"] for row in rows(second)] == ["1", "2", "3", "4", "5"]
    assert rows(second)[:4] == before
    # Only the fifth epoch was trained here.
    assert [event.step for event in events(second.path).Images("cam/grad_cam")] == [5]
    assert torch.load(second.last_checkpoint, weights_only=True)["global_step"] == 5 * steps


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["trainer.max_epochs=4"], ["has been trained for 4 epochs already"]),
        (["data.root=other"], ["data.root=", "other has changed since the training", "missing"]),
        (["ckpt_path=notes.txt"], ["notes.txt is not a checkpoint of fishcnn"]),
        (
            ["hydra.run.dir=runs/first", "ckpt_path=null"],
            ["first holds a run already", "ckpt_path="],
        ),
    ],
)
def test_a_run_that_cannot_be_continued_is_refused_before_training(
    train: Command, trained: RunFolder, overrides: list[str], parts: list[str]
) -> None:
    Path("notes.txt").write_text("not a checkpoint")
    if "data.root=other" in overrides:
        config = yaml.safe_load(trained.config.read_text())
        shutil.copytree(config["data"]["root"], "other")
        next(Path("other").iterdir()).rename("other/another")
        overrides = [*overrides, "data.masks_root=null"]
    written, before = trained.summary.read_bytes(), typed(trained)
    more = ["ckpt_path=runs/first", "trainer.max_epochs=5", "hydra.run.dir=runs/second"]
    finished = train(*typed(trained), *more, *overrides)
    assert finished.status == 1
    assert "Traceback" not in finished.err + finished.out
    for part in parts:
        assert part in finished.err
    assert trained.summary.read_bytes() == written
    assert typed(trained) == before


def test_a_run_goes_on_in_its_own_folder(train: Command, trained: RunFolder) -> None:
    finished = train(
        *typed(trained), "trainer.max_epochs=5", "ckpt_path=runs/first", "hydra.run.dir=runs/first"
    )
    assert finished.status == 0, finished.err
    assert [row["epoch"] for row in rows(trained)] == ["1", "2", "3", "4", "5"]
    assert json.loads(trained.summary.read_text())["epochs"] == 5


@pytest.mark.parametrize(
    "settings",
    [
        ["scheduler=plateau"],
        ["scheduler=cosine", "optimizer=sgd", "callbacks.ema.enabled=false"],
        ["scheduler=onecycle", "optimizer=adamw"],
    ],
)
def test_a_run_that_was_killed_goes_on_with_its_schedule(
    train: Command,
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: list[str],
) -> None:
    killed = tmp_path / "killed" / "checkpoints" / "last.ckpt"

    def keep(self: Resuming, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Put the checkpoint of the first epoch aside, as a kill in the second would leave it."""
        if trainer.current_epoch == 1 and not killed.is_file():
            shutil.copytree(self.history.folder.path, killed.parents[1])

    monkeypatch.setattr(Resuming, "on_train_epoch_start", keep)
    command = [*tiny, *QUICK, *settings, "trainer.max_epochs=3"]
    assert train(*command, "hydra.run.dir=whole").status == 0
    finished = train(*command, "hydra.run.dir=killed", "ckpt_path=killed")
    assert finished.status == 0, finished.err
    whole = torch.load(tmp_path / "whole" / "checkpoints" / "last.ckpt", weights_only=True)
    parts = torch.load(killed, weights_only=True)
    assert parts["epoch"] == whole["epoch"] == 2
    assert parts["global_step"] == whole["global_step"] == 12
    for key in ("last_epoch", "_last_lr"):
        assert parts["lr_schedulers"][0][key] == whole["lr_schedulers"][0][key]
    averaged = [state.get("averaging_state", {}).get("n_averaged") for state in (parts, whole)]
    assert averaged[0] == averaged[1]
    assert [row["epoch"] for row in rows(RunFolder(tmp_path / "killed"))] == ["1", "2", "3"]


def test_early_stopping_ends_a_fit_that_no_longer_improves(
    train: Command, tiny: list[str], tmp_path: Path
) -> None:
    settings = [*QUICK, "trainer.max_epochs=30", "optimizer=sgd", "optimizer.lr=0.0"]
    settings += ["callbacks.early_stopping.patience=1", "callbacks.early_stopping.start_epoch=1"]
    # The loss falls until the batch norm statistics have settled, averaged ones for longer.
    settings += ["callbacks.ema.enabled=false"]
    assert train(*tiny, *settings, f"hydra.run.dir={tmp_path}/run").status == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["epochs"] < 30


@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer=adamw", "scheduler=onecycle", "augment=mixed"],
        ["optimizer=sgd", "scheduler=cosine", "augment=strong", "model.head=gap"],
        [
            "callbacks.ema.enabled=false",
            "scheduler=none",
            "augment=none",
            "logger=none",
            "trainer.gradient_clip_val=1.0",
        ],
        [
            "trainer.check_val_every_n_epoch=2",
            "trainer.precision=32-true",
            "data.normalize=imagenet",
        ],
        ["model=torchvision", "model.architecture=mobilenet_v3_small"],
    ],
)
def test_the_choices_of_every_group_train(
    train: Command, tiny: list[str], tmp_path: Path, overrides: list[str]
) -> None:
    run = tmp_path / "run"
    if "model=torchvision" in overrides:
        tiny = [o for o in tiny if not o.startswith("model.")]
    finished = train(*tiny, *overrides, f"hydra.run.dir={run}")
    assert finished.status == 0, finished.err
    summary = json.loads((run / "summary.json").read_text())
    assert summary["epochs"] == 2
    # What was asked for is what was trained.
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    kinds = {"adamw": "decoupled_weight_decay", "sgd": "momentum", "adam": "betas"}
    chosen = next((o.split("=")[1] for o in overrides if o.startswith("optimizer=")), "adam")
    assert kinds[chosen] in saved["optimizer_states"][0]["param_groups"][0]
    schedules = {"onecycle": "total_steps", "cosine": "T_max", "none": "factor"}
    chosen = next((o.split("=")[1] for o in overrides if o.startswith("scheduler=")), "")
    assert schedules.get(chosen, "patience") in saved["lr_schedulers"][0]
    assert ("averaging_state" in saved) == ("callbacks.ema.enabled=false" not in overrides)
    assert bool(list(run.rglob("events.out.*"))) == ("logger=none" not in overrides)
    FishClassifier.load_from_checkpoint(summary["checkpoint"], weights_only=True)


@pytest.mark.parametrize(
    ("experiment", "expected"),
    [
        ("seed", set()),
        ("simplified", {"blocks"}),
        ("strong_augment", {"augment"}),
        ("tuned_schedule", {"lr", "early_stopping"}),
        ("regularized", {"weight_decay"}),
        ("improved", {"blocks", "augment", "lr", "early_stopping", "weight_decay"}),
        ("best", {"long"}),
    ],
)
def test_every_experiment_takes_its_steps(experiment: str, expected: set[str]) -> None:
    config = compose_config("data=folder", "data.root=images", f"experiment={experiment}")
    check_train(config)
    steps = {
        "blocks": config.model.blocks == 3,
        "augment": config.augment.name == "strong",
        "lr": config.optimizer.lr == 5e-4,
        "early_stopping": config.callbacks.early_stopping.enabled,
        "weight_decay": config.optimizer.weight_decay == 1e-4,
        "long": config.trainer.max_epochs == 120,
    }
    assert {name for name, taken in steps.items() if taken} == expected
    # They are compared with each other, and with figures that have been published.
    assert config.model.base_channels == 32


def broken(root: Path) -> None:
    (root / "a").mkdir(parents=True)
    (root / "b").mkdir()
    for number in range(3):
        Image.new("RGB", (20, 20)).save(root / "a" / f"{number}.png")
    Image.new("RGB", (20, 20)).save(root / "b" / "0.png")


def nested(root: Path) -> None:
    broken(root / "fish")
    shutil.copy(root / "fish" / "b" / "0.png", root / "fish" / "b" / "1.png")


@pytest.mark.parametrize(
    ("overrides", "make", "parts"),
    [
        (["data=folder"], None, ["data.root is not set"]),
        (["data=folder", "data.root=nowhere"], None, ["data.root=nowhere", "does not exist"]),
        (["data=folder", "data.root=root"], lambda root: root.mkdir(), ["data.root=root"]),
        (["data=folder", "data.root=root"], broken, ["class b", "1 readable image"]),
        (["data=folder", "data.root=root"], nested, ["did you mean root/fish"]),
        (["model.blocks=0"], None, ["model.blocks=0"]),
        (["model.blocks=9"], None, ["model.blocks=9", "use 5 blocks or fewer"]),
        (["model=torchvision", "model.architecture=resnet19"], None, ["resnet18"]),
        (["experiment=seed", "model=torchvision"], None, ["~model.blocks"]),
        (["callbacks.grad_cam.every_n_epochs=0"], None, ["callbacks.grad_cam.every_n_epochs=0"]),
        (["callbacks.grad_cam.layer=blocks.9"], None, ["callbacks.grad_cam.layer=blocks.9: "]),
        (["callbacks.ema.decay=2"], None, ["callbacks.ema.decay=2", "from 0 to 1"]),
        (["callbacks.early_stopping.patience=-1"], None, ["callbacks.early_stopping.patience=-1"]),
        (["model.dropout=2"], None, ["model.dropout=2"]),
        (["model.blocks=abc"], None, ["model.blocks=abc", "whole number"]),
        (["optimizer.lr=-1"], None, ["optimizer.lr=-1"]),
        (["optimizer.name=lion"], None, ["optimizer=lion: choose one of adam"]),
        (["scheduler.factor=2"], None, ["scheduler.factor=2"]),
        (["loss.label_smoothing=2"], None, ["loss.label_smoothing=2"]),
        (["trainer.max_epochs=null"], None, ["trainer.max_epochs=null"]),
        (["trainer.accelerator=abacus"], None, ["trainer", "abacus"]),
        (["trainer.precision=bf16-true"], None, ["trainer.precision=bf16-true", "bf16-mixed"]),
        (["trainer.gradient_clip_val=-1"], None, ["trainer.gradient_clip_val=-1"]),
        (["logger.name=csv"], None, ["logger.name=csv"]),
        (["optimizer=sgd", "optimizer.momentum=0"], None, ["optimizer=sgd: Nesterov"]),
        (["scheduler=cosine", "scheduler.eta_min=abc"], None, ["scheduler.eta_min=abc"]),
        (["data.batch_size=abc"], None, ["data.batch_size=abc"]),
        (["data.val_fraction=1.0"], None, ["data.val_fraction=1.0"]),
        (["data.workers=-3"], None, ["data.workers=-3"]),
        (["seed=-1"], None, ["seed=-1"]),
        (["augment.crop_ratio=[1.3,0.7]"], None, ["augment.crop_ratio=[1.3, 0.7]"]),
        (["augment.rotation=abc"], None, ["augment.rotation=abc"]),
        (["augment.mixup=-1"], None, ["augment.mixup=-1"]),
        (["data.normalize=mnist"], None, ["data.normalize=mnist"]),
        (["data.shortcut=1.5"], None, ["data.shortcut=1.5"]),
        (["augment.flip=2"], None, ["augment.flip=2"]),
        (["ckpt_path=last"], None, ["there is no run with a checkpoint below /", "ckpt_path="]),
        (["ckpt_path=nowhere.ckpt"], None, ["ckpt_path=nowhere.ckpt"]),
        (["trainer.max_epochs=???"], None, ["max_epochs"]),
        (["trainer.max_epochs=0"], None, ["trainer.max_epochs=0"]),
        (
            ["trainer.max_epochs=2", "trainer.check_val_every_n_epoch=3"],
            None,
            ["trainer.check_val_every_n_epoch=3", "trainer.max_epochs=2"],
        ),
        (["data.image_size=0"], None, ["data.image_size=0"]),
    ],
)
def test_a_mistake_is_answered_in_one_message_without_a_traceback(
    train: Command,
    tmp_path: Path,
    overrides: list[str],
    make: Callable[[Path], None] | None,
    parts: list[str],
) -> None:
    if make:
        make(tmp_path / "root")
    tiny_fish = ["data.species=2", "data.pictures_per_class=2", "data.long_side=48"]
    if any(override.startswith("data=") for override in overrides):
        tiny_fish = []
    quiet = ["hydra.run.dir=run", "callbacks.progress.enabled=false"]
    finished = train(*quiet, *tiny_fish, *overrides)
    assert finished.status == 1
    assert "Traceback" not in finished.err + finished.out
    assert finished.err.count("error: ") == 1
    for part in parts:
        assert part in finished.err


@pytest.mark.parametrize("argument", ["--help", "--cfg=job"])
def test_help_and_config_need_nothing_heavy(argument: str, tmp_path: Path) -> None:
    program = (
        "import contextlib, sys\n"
        "from fishcnn.commands.cli import COMMANDS, start\n"
        "for name in COMMANDS:\n"
        "    with contextlib.suppress(SystemExit):\n"
        f"        start(name, [{argument!r}])\n"
        "print(sorted({'torch', 'matplotlib', 'numpy', 'PIL', 'rich'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", program, argument]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    for one_of_each in ("blocks: 4", "top_k: 3", "port: null", "limit_steps: 8"):
        assert one_of_each in finished.stdout
    assert finished.stdout.splitlines()[-1] == "[]"


def test_a_cosine_is_not_stretched(train: Command, tiny: list[str]) -> None:
    cosine = [*tiny, *QUICK, "scheduler=cosine"]
    assert train(*cosine, "hydra.run.dir=run").status == 0
    longer = train(*cosine, "ckpt_path=run", "trainer.max_epochs=4")
    assert longer.status == 1
    assert "scheduler=cosine has shaped the learning rate for 4 steps (1 epoch" in longer.err
