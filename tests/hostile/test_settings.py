"""No command begins with a setting that it cannot use; found by walking the configuration."""

import io
import math
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from networks import small_classifier
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from fishcnn.commands.build import build_datamodule
from fishcnn.commands.cli import COMMANDS
from fishcnn.commands.overrides import quote_values
from fishcnn.commands.run_files import read_config
from fishcnn.commands.settings import CONF, FREE_TEXT
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.splitting.groups import groups_by_name
from fishcnn.utils.errors import ArgumentError, FishError
from fishcnn.utils.machine import cpu_share, user_path
from fishcnn.utils.run_folder import RunFolder

Check = Callable[[DictConfig], None]
# Besides those that are null by default everywhere.
NULLABLE = {"data.cache_root", "data.working_size"}
NEVER = ({"a": 1}, [[]], math.nan, math.inf, -(10**9), 10**400)


def composed(command: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(command, quote_values(overrides))
    if config.get("data", {}).get("name") in ("folder", "stream"):
        config.data.root = "photos"
    return config


def every_choice(command: str) -> Iterator[DictConfig]:
    """The configuration of a command, with each choice of each of its groups."""
    yield composed(command)
    defaults = OmegaConf.load(CONF / f"{command}.yaml").get("defaults", [])
    for group in (str(name) for entry in defaults if entry != "_self_" for name in entry):
        for file in sorted((CONF / group).glob("*.yaml")):
            if file.stem != "base":
                yield composed(command, f"{group}={file.stem}")


def leaves(config: DictConfig, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key in config:
        value = config[key]
        name = f"{prefix}{key}"
        if isinstance(value, DictConfig):
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def wrong_values(name: str, default: object) -> Iterator[object]:
    """What a setting of this default can never be."""
    yield from NEVER
    if name in FREE_TEXT:
        yield [1]
    else:
        yield "a word"
        if isinstance(default, bool):
            yield from ("no", "off", 1)
        elif default is not None:
            yield True
    if default is not None and name not in NULLABLE:
        yield None


def problem_of(check: Check, config: DictConfig) -> str | None:
    try:
        check(config)
    except FishError as error:
        return str(error)
    return None


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_of_every_choice_is_checked(command: str) -> None:
    check: Check = getattr(import_module(COMMANDS[command][0]), f"check_{command}")
    taken, seen = [], set()
    for config in every_choice(command):
        assert problem_of(check, config) is None
        for name, default in list(leaves(config)):
            if (name, type(default)) in seen:
                continue
            seen.add((name, type(default)))
            for value in wrong_values(name, default):
                OmegaConf.update(config, name, value, merge=False)
                said = problem_of(check, config)
                # A choice of a group is typed as group=name.
                if said is None or not said.startswith((name, f"{name.removesuffix('.name')}=")):
                    taken.append((name, value, said))
            OmegaConf.update(config, name, default, merge=False)
    assert taken == []


@pytest.mark.parametrize("command", COMMANDS)
def test_what_takes_any_text_is_taken_as_it_was_typed(command: str) -> None:
    check: Check = getattr(import_module(COMMANDS[command][0]), f"check_{command}")
    for config in every_choice(command):
        for name, default in list(leaves(config)):
            OmegaConf.update(config, name, "a (b], c=~d", merge=False)
            assert (problem_of(check, config) is None) <= (name in FREE_TEXT), name
            OmegaConf.update(config, name, default, merge=False)


@pytest.mark.parametrize(
    ("command", "typed", "message"),
    [
        ("train", "data=null", "data=null: choose one of bengali_fish, folder, stream, synthetic"),
        ("train", "model=null", "model=null: choose one of cnn, timm, torchvision"),
        ("train", "augment=", "augment=null: choose one of mixed, none, seed, strong"),
        ("train", "optimizer=null", "optimizer=null: choose one of adam, adamw, sgd"),
        ("train", "~callbacks", "callbacks=null: choose one of default"),
        ("train", "~callbacks.ema.decay", "callbacks.ema.decay is missing: leave out ~callbacks"),
        ("train", "callbacks.ema.enabled=no", "callbacks.ema.enabled=no: must be true or false"),
        ("train", "trainer.accelerator=tpu", "trainer.accelerator=tpu: choose one of auto, cpu"),
        ("train", "trainer.devices=100000", "trainer.devices=100000: must be a whole number from"),
        ("train", "+trainer.max_epoch=3", "trainer.max_epoch: Lightning's Trainer has no such"),
        ("train", "+trainer.logger=no", "trainer.logger: is chosen by this project; leave it out"),
        ("train", "+trainer.callbacks=5", "trainer.callbacks: is chosen by this project"),
        ("train", "+trainer.fast_dev_run=no", "trainer.fast_dev_run: is chosen by this project"),
        ("train", "+trainer.detect_anomaly=no", "trainer.detect_anomaly=no: must be true or fal"),
        ("train", "trainer.deterministic=no", "trainer.deterministic=no: must be true or false"),
        ("train", "+trainer.overfit_batches=-3", "trainer.overfit_batches=-3: must be a whole n"),
        ("train", "+trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches=0: must"),
        ("train", "+trainer.max_steps=abc", "trainer.max_steps=abc: must be a whole number, -1"),
        ("train", "trainer.strategy=abc", "trainer.strategy=abc: choose one of auto, ddp, fsdp"),
        ("train", "+trainer.profiler=abc", "trainer: When passing string value for the `profiler"),
        ("train", "callbacks.grad_cam.layer=''", "callbacks.grad_cam.layer=: is not a layer"),
        ("train", "callbacks.grad_cam.layer=head.9", "callbacks.grad_cam.layer=head.9: is not a"),
        ("train", "+optimizer.betas=[0.9]", "optimizer.betas=[0.9]: must be a list of 2"),
        ("train", "+optimizer.wings=2", "optimizer.wings=2: unknown; choose from lr, weight_decay"),
        ("train", "+optimizer.dampening=0.1", "optimizer=adam: "),
        ("train", "+optimizer.maximize=no", "optimizer.maximize=no: choose one of false"),
        ("train", "+optimizer.maximize=true", "optimizer.maximize=true: choose one of false"),
        ("train", "+optimizer.capturable=no", "optimizer.capturable=no: choose one of false"),
        ("train", "+optimizer.foreach=no", "optimizer.foreach=no: must be true or false"),
        ("train", "+scheduler.mode=max", "scheduler.mode=max: choose one of min"),
        ("train", "+scheduler.threshold=abc", "scheduler.threshold=abc: must be a number, 0 or"),
        ("train", "+scheduler.cooldown=abc", "scheduler.cooldown=abc: must be a whole number, 0"),
        ("train", "+scheduler.min_lr=abc", "scheduler.min_lr=abc: must be a number from 0 to"),
        ("train", "+scheduler.last_epoch=3", "scheduler.last_epoch=3: unknown; choose from fac"),
        ("train", "model.base_channels=1e6", "model.base_channels=1000000.0: must be a whole num"),
        ("export", "formats=[5]", "formats=[5]: choose one of onnx, torch"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(command: str, typed: str, message: str) -> None:
    check: Check = getattr(import_module(COMMANDS[command][0]), f"check_{command}")
    assert (problem_of(check, composed(command, typed)) or "").startswith(message)


@pytest.mark.parametrize(
    "name",
    [
        "${foo}",
        "a ${",
        "x\\${y}",
        "null ",
        "1e3",
        "a: b",
        "*x",
        "&x",
        "[x]",
        "{x}",
        "no",
        "5",
        "\\",
    ],
)
def test_any_name_of_a_folder_comes_back_from_the_configuration(name: str, tmp_path: Path) -> None:
    typed = quote_values([f"data.root={name}", "data=folder"])
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", typed)
    assert config.data.root == name
    run = RunFolder(tmp_path)
    OmegaConf.save(config, run.config, resolve=True)
    assert read_config(run).data.root == name


def test_a_folder_that_hydra_cannot_write_to_is_named(script: Any) -> None:
    finished = script("train", "hydra.run.dir=a ${")
    assert (finished.status, finished.err.count("\n")) == (1, 1)
    assert "Hydra cannot work in a folder with ${ in its name; name one by" in finished.err


def test_paths_are_meant_from_where_the_user_stands(
    train: Any, script: Any, tiny: list[str], fish: Path, tmp_path: Path
) -> None:
    shutil.copytree(fish / "pictures", tmp_path / "${foo} a")
    quick = ["trainer.max_epochs=1", "logger=tensorboard", "callbacks.grad_cam.enabled=false"]
    typed = [o for o in tiny if "root" not in o] + [*quick, "hydra.job.chdir=true"]
    finished = train(*typed, "data.root=${foo} a", "hydra.run.dir=run")
    assert finished.status == 0, finished.err
    assert read_config(RunFolder(tmp_path / "run")).data.root == str(tmp_path / "${foo} a")
    finished = script("predict", "ckpt=run", "hydra.job.chdir=true", "output=out.csv")
    assert finished.status == 0, finished.err
    assert {path.name for path in tmp_path.iterdir()} == {"${foo} a", "cache", "out.csv", "run"}


def test_a_pattern_that_would_never_end_is_stopped_in_any_thread() -> None:
    names = [Path(f"{'a' * 40}{number}.jpg") for number in range(3)]
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(groups_by_name, names, "(a+)+$", seconds=0.3)
        with pytest.raises(ArgumentError, match=r"group_regex=\(a\+\)\+\$: takes more than 0.3 s"):
            asked.result()


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({"self": "0::/job\n", "cpu.max": "250000 100000\n", "job/cpu.max": "max 100000\n"}, 2.5),
        ({"self": "0::/job\n", "cpu.max": "max 100000\n", "job/cpu.max": "50000 100000\n"}, 0.5),
        ({"self": "0::/of the host\n", "cpu.max": "max 100000\n"}, None),
        (
            {
                "self": "4:cpu,cpuacct:/box\n2:memory:/box\n",
                "cpu/box/cpu.cfs_quota_us": "300000\n",
                "cpu/box/cpu.cfs_period_us": "100000\n",
            },
            3.0,
        ),
        ({"self": "4:cpu:/\n", "cpu/cpu.cfs_quota_us": "-1\n"}, None),
        ({"self": "what?\n", "cpu.max": "many\n"}, None),
        ({}, None),
    ],
)
def test_the_share_of_a_container_counts(
    tmp_path: Path, files: dict[str, str], share: float | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert cpu_share(tmp_path, tmp_path / "self") == share


def test_without_a_home_folder_the_setting_to_choose_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HOME", "FISHCNN_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 987_654)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train")
    with pytest.raises(FishError, match=r"^data.cache_root=~/.cache/fishcnn: there is no home"):
        build_datamodule(config)
    with pytest.raises(FishError, match=r"^~/run: there is no such home folder"):
        user_path("~/run")


def test_a_prediction_takes_images_or_says_what_else_it_was_given(
    datamodule: FishDataModule,
) -> None:
    classifier = small_classifier(datamodule.classes).eval()
    path = datamodule.images.index.root / datamodule.images.paths[0]
    with Image.open(path) as image:
        image.load()
    expected = classifier.predict(path)
    series = (one for one in (path, str(path), image, path))
    assert [one.label for one in classifier.predict(series)] == [expected[0].label] * 4
    assert classifier.predict([]) == classifier.predict(iter(())) == []
    array = np.asarray(image)
    for wrong, way in (
        (array, "PIL.Image.fromarray"),
        ([array], "PIL.Image.fromarray"),
        (torch.zeros(1, 3, 16, 16), r"classifier\(images\)"),
        (path.read_bytes(), "io.BytesIO"),
        (io.BytesIO(), r"PIL.Image.open\(file\)"),
        ({"a": path}, "neither a path nor a PIL image"),
        ([path, None], "<NoneType>: is neither"),
        (5, "<int>: is neither"),
    ):
        with pytest.raises(ArgumentError, match=way):
            classifier.predict(wrong)  # type: ignore[arg-type]
