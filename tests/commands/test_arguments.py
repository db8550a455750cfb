"""What people type is understood, or answered with what they probably meant."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from fishcnn.commands.arguments import read_arguments
from fishcnn.commands.cli import COMMANDS
from fishcnn.commands.command_line import remember
from fishcnn.commands.known_settings import KnownSettings
from fishcnn.commands.settings import CONF, FREE_TEXT, choices
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import RunFolder


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with images, runs and names that are hard to type."""
    monkeypatch.chdir(tmp_path)
    for folder in ("pics", "my fish pics", "a,b", "c"):
        Path(folder).mkdir()
    for file in ("photo.jpg", "other.jpg", "epoch=3.ckpt"):
        Path(file).touch()
    run = RunFolder(Path("runs/1"))
    run.checkpoints.mkdir(parents=True)
    run.config.touch()


def answer(line: str) -> str:
    """What is said of a command line after ``fishcnn``."""
    command, *typed = shlex.split(line)
    remember(["fishcnn", command, *typed], 2)
    with pytest.raises(FishError) as raised:
        read_arguments(command, typed)
    return str(raised.value)


def understood(line: str) -> list[str]:
    command, *typed = shlex.split(line)
    return read_arguments(command, typed)


def composed(line: str) -> DictConfig:
    """What Hydra makes of a command line after ``fishcnn``."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(line.split()[0], understood(line))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("train model.bloks=3", "train model.blocks=3"),
        ("train modle.blocks=3", "train model.blocks=3"),
        ("train Model.Blocks=3", "train model.blocks=3"),
        ("train data.blocks=3", "train model.blocks=3"),
        ("train blocks=3", "train model.blocks=3"),
        ("train epochs=3", "train trainer.max_epochs=3"),
        ("train max_epochs=3", "train trainer.max_epochs=3"),
        ("train trainer.epochs=3", "train trainer.max_epochs=3"),
        ("train +trainer.epochs=3", "train trainer.max_epochs=3"),
        ("train trainer.max_epoch=3", "train trainer.max_epochs=3"),
        ("train lr=1e-3", "train optimizer.lr=1e-3"),
        ("train lerning_rate=1e-3", "train optimizer.lr=1e-3"),
        ("train folds=5 fold=0", "train data.folds=5 data.fold=0"),
        ("train batch_size=8", "train data.batch_size=8"),
        ("train ema=false", "train callbacks.ema.enabled=false"),
        ("train callbacks.ema=false", "train callbacks.ema.enabled=false"),
        ("train ++model.bloks=3", "train model.blocks=3"),
        ("train --epochs 3", "train trainer.max_epochs=3"),
        ("train --epochs=3 --lr 1e-3", "train trainer.max_epochs=3 optimizer.lr=1e-3"),
        ("train --batch-size 8 seed=1", "train data.batch_size=8 seed=1"),
        ("train --model resnet18", "train model=torchvision model.architecture=resnet18"),
        ("train --data pics", "train data.root=pics"),
        ("train --hepl", "train --help"),
        ("train help", "train --help"),
        ("train model.blocks = 3", "train model.blocks=3"),
        ("train model.blocks= 3", "train model.blocks=3"),
        ("train model.blocks =3", "train model.blocks=3"),
        ("train model.blocks 3 data folder", "train model.blocks=3 data=folder"),
        ("train seed 1 -m", "train -m seed=1"),
        ("predict weights=x.ckpt out=x.csv", "predict ckpt=x.ckpt output=x.csv"),
        ("train model=blocks=3", "train model.blocks=3"),
        ("train model=resnet18", "train model=torchvision model.architecture=resnet18"),
        ("train modle=cnn", "train model=cnn"),
        ("train optimizer=adamww", "train optimizer=adamw"),
        ("train experiment=bets", "train experiment=best"),
        ("train augment=strng", "train augment=strong"),
        ("train scheduler=plateu", "train scheduler=plateau"),
        ("train strong", "train augment=strong"),
        ("train data=pics", "train data.root=pics"),
        ("train data=/no/such", "train data.root=/no/such"),
        ("train input=pics", "train data.root=pics"),
        ("train ckpt=runs/1", "train ckpt_path=runs/1"),
        ("evaluate input=pics", "evaluate data_root=pics"),
        ("predict data_root=pics", "predict input=pics"),
        ("train data.root=my fish pics", 'train "data.root=my fish pics"'),
        ("train my fish pics seed=1", 'train "my fish pics" seed=1'),
        (
            "train model.architecture=resnet18",
            "train model=torchvision model.architecture=resnet18",
        ),
        ("train data.masks_root=m", "train data=folder data.masks_root=m"),
        ("train momentum=0.5", "train optimizer=sgd optimizer.momentum=0.5"),
        ("train optimizer.lr=1e-3,5e-4", "train -m optimizer.lr=1e-3,5e-4"),
        ("train optimizer=adam,sgd", "train -m optimizer=adam,sgd"),
        ("export formats=onnx,torch", 'export "formats=[onnx,torch]"'),
        ("train ~foo seed=1", "train seed=1"),
    ],
)
def test_a_slip_is_answered_with_the_command_that_was_meant(typed: str, meant: str) -> None:
    said, _, command = answer(typed).rpartition("\n")
    assert command == f"fishcnn {meant}"
    assert 1 <= said.count("\n") + 1 <= 2
    understood(meant)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("train model.bloks=3", "model.bloks: no such setting; did you mean model.blocks?\n"),
        ("train foo=3", "foo: no such setting; --help lists those there are"),
        ("train +foo=3", "foo: no such setting; --help lists those there are"),
        ("train =3", "=: no such setting; --help lists those there are"),
        ("train +data.foo=1", "data.foo: no such setting; --help lists"),
        ("train +augment={foo:1}", "augment={foo:1}: choose one of mixed, none, seed, strong"),
        ("train +loss={foo:1}", "loss.foo: no such setting"),
        ("train model@foo=cnn", "model@foo: no such setting"),
        (
            "train patience=1",
            "patience: no such setting; did you mean callbacks.early_stopping.pat",
        ),
        (
            "train data=synthetic data.root=pics",
            "data.root belongs to data=folder, not to data=syn",
        ),
        (
            "train model=cnn model.architecture=x",
            "model.architecture belongs to model=",
        ),
        (
            "train -m optimizer=adam,sgd optimizer.momentum=1",
            "optimizer.momentum belongs to optimize",
        ),
        (
            "train -m optimizer=adam,sgdd",
            "optimizer=sgdd: no such choice; did you mean optimizer=sgd",
        ),
        (
            "train model=torchvision model.architecture=resnet18 model=cnn",
            "model.architecture belongs to model=torchvision, not to model=cnn",
        ),
        (
            "train trainer.max_steps=3",
            "trainer.max_steps: no such setting; did you mean trainer.max_",
        ),
        (
            "train scheduler.mode=max",
            "scheduler.mode: no such setting; an argument that is not in con",
        ),
        ("train --resume", "--resume: settings are typed without dashes; resume: did you mean"),
        ("train foo", "foo: no such file or folder; settings are typed as NAME=VALUE"),
        ("train seed", "seed: has no value; type seed=VALUE, such as seed=0"),
        ("train model", "model: has no value; type model=VALUE, such as model=cnn"),
        ("train logger=wandb", "logger=wandb: choose one of none, tensorboard"),
        ("train pics c", "pics and c: data.root= takes one path"),
        ("train data.root=c pics", "c and pics: data.root= takes one path"),
        (
            "predict photo.jpg other.jpg",
            "photo.jpg and other.jpg: input= takes one file, one folder,",
        ),
        ("predict model.blocks=3", "model.blocks: predict has no such setting, only train"),
        (
            "predict data=folder",
            "data=folder: data is a group of settings: data.masks_root and data.",
        ),
        (
            "predict threshold=0,6",
            "threshold=0,6: add -m to try one value after another; a single number",
        ),
        (
            "train hydra.rnu.dir=x",
            "hydra.rnu.dir: Hydra has no such setting; did you mean hydra.run.dir?",
        ),
        ("benchmark pics", "pics: benchmark takes no path; settings are NAME=VALUE"),
    ],
)
def test_what_cannot_be_meant_is_answered_in_plain_words(typed: str, said: str) -> None:
    assert answer(typed).startswith(said)


@pytest.mark.parametrize(
    ("typed", "settings"),
    [
        ("train pics", ["data=folder", "data.root='pics'"]),
        ("train ./no/such", ["data=folder", "data.root='./no/such'"]),
        ("train 'my fish pics'", ["data=folder", "data.root='my fish pics'"]),
        ("train runs/1", ["ckpt_path='runs/1'"]),
        ("train epoch=3.ckpt", ["ckpt_path='epoch=3.ckpt'"]),
        ("inspect_data pics", ["data.root='pics'"]),
        ("predict photo.jpg", ["input='photo.jpg'"]),
        ("predict 'pics/*.jpg'", ["input='pics/*.jpg'"]),
        ("predict -", ["input='-'"]),
        ("predict runs/1 pics", ["ckpt='runs/1'", "input='pics'"]),
        ("evaluate pics", ["data_root='pics'"]),
        ("evaluate runs/1", ["ckpt='runs/1'"]),
        ("evaluate runs/gone", ["ckpt='runs/gone'"]),
        ("explain photo.jpg", ["input='photo.jpg'"]),
        ("explain epoch=3.ckpt", ["ckpt='epoch=3.ckpt'"]),
        ("export runs/1", ["ckpt='runs/1'"]),
        ("export pics", ["input='pics'"]),
        ("demo runs/1", ["ckpt='runs/1'"]),
        ("demo runs/2", ["ckpt='runs/2'"]),
    ],
)
def test_a_path_alone_is_what_the_command_works_on(typed: str, settings: list[str]) -> None:
    assert understood(typed) == settings


@pytest.mark.parametrize(
    "typed",
    [
        "train data.root=pics",
        "train +data.root=pics",
        "train ++data.root=pics data.masks_root=c",
        "train experiment=best data.root=pics",
        "train data=folder data.root=pics",
    ],
)
def test_a_folder_of_images_is_trained_on(typed: str) -> None:
    config = composed(typed)
    assert (config.data.name, config.data.root) == ("folder", "pics")


def test_experiments_bring_their_choices_along() -> None:
    assert composed("train experiment=best optimizer.weight_decay=0.1").optimizer.name == "adamw"
    assert composed("train experiment=best model=torchvision ~model.blocks").model.dropout == 0.1
    assert "scheduler.pct_start=0.1" in understood("train experiment=best scheduler.pct_start=0.1")
    assert answer("train scheduler.pct_start=0.1").startswith(
        "scheduler.pct_start belongs to sched"
    )


def test_a_run_that_goes_on_has_choices_of_its_own() -> None:
    typed = ["ckpt_path='last'", "optimizer.momentum=0.5", "data.root='pics'"]
    assert understood("train ckpt_path=last optimizer.momentum=0.5 data.root=pics") == typed
    said = answer("train ckpt_path=last optimizer=adam optimizer.momentum=0.5")
    assert said.startswith("optimizer.momentum belongs to optimizer=sgd, not to optimizer=adam")


def test_a_setting_of_a_choice_that_there_is_not_names_the_right_one() -> None:
    *_, last = answer("train data=rendered data.species=3").splitlines()
    assert last == "data.species belongs to data=synthetic"


def test_hydras_own_settings_and_options_stay() -> None:
    typed = "train --info searchpath --cfg job -m hydra.run.dir=a +hydra.job.env_set.A=b"
    assert understood(typed) == [
        *("--info", "searchpath", "--cfg", "job", "-m", "hydra.run.dir='a'"),
        "+hydra.job.env_set.A=b",
    ]
    assert understood("train --config-dir mine experiment=mine") == [
        *("--config-dir", "mine", "experiment=mine"),
    ]
    assert understood("train --help foo seed=1") == ["--help", "seed=1"]


@pytest.mark.parametrize(
    "typed",
    ["trainer.max_steps=3", "optimizer.betas=[0.9,0.99]", "scheduler.mode=min", "seed=1"],
)
def test_a_plus_adds_arguments_of_lightning_and_torch_alone(typed: str) -> None:
    for sign in ("+", "++"):
        (kept,) = understood(f"train {sign}{typed}")
        assert kept == (typed if typed == "seed=1" else f"{sign}{typed}")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_of_every_choice_can_be_typed(command: str) -> None:
    groups = KnownSettings(command).groups
    for chosen in ["", *(f"{group}={one}" for group in groups for one in choices(group))]:
        for name in names_of(composed(f"{command} {chosen}")):
            assert f"{name}=" in understood(f"{command} {name}= {chosen}"), (name, chosen)


def names_of(config: Any, prefix: str = "") -> set[str]:
    names = set()
    for key, value in config.items():
        if isinstance(value, DictConfig):
            names |= names_of(value, f"{prefix}{key}.")
        else:
            names.add(f"{prefix}{key}")
    return names


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("pics,c", ["pics", "c"]),
        ("pics,a,b,c", ["pics", "a,b", "c"]),
        ("a,b", ["a,b"]),
        ("(x [1], ~y=z", ["(x [1]", "~y=z"]),
        ("'p q',\"r,s\"", ["p q", "r,s"]),
        ("*.{jpg,png},c", ["*.{jpg,png}", "c"]),
        ("^(?P<group>a{1,3})", ["^(?P<group>a{1,3})"]),
    ],
)
def test_a_sweep_takes_each_of_its_paths_as_typed(value: str, expected: Sequence[str]) -> None:
    (argument,) = read_arguments("inspect_data", ["-m", f"data.root={value}"])[1:]
    override = OverridesParser.create().parse_override(argument)
    swept = list(override.sweep_string_iterator()) if override.is_sweep_override() else [argument]
    values = [
        OverridesParser.create().parse_override(f"x={one.removeprefix('data.root=')}")
        for one in swept
    ]
    assert [one.value() for one in values] == expected


def test_free_text_is_that_of_settings_that_exist() -> None:
    names = set().union(*(KnownSettings(command).everything() for command in COMMANDS))
    assert set(FREE_TEXT) <= names


def test_a_comparison_takes_several_paths() -> None:
    for typed, paths in {
        "runs/1 pics c": ["runs/1", "pics", "c"],
        "'my fish pics' rows=5": ["my fish pics"],
        "'runs/*' a,b": ["runs/*", "a,b"],
        "'paths=[runs,c]'": ["runs", "c"],
        "": ["runs"],
    }.items():
        assert list(composed(f"compare {typed}").paths) == paths
    assert "runs and c: type paths alone, or all of them as 'paths=[a,b]'" in answer(
        "compare c paths=runs"
    )
