"""Settings in a file, in place of the name of an experiment."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from fishcnn.commands.arguments import read_arguments
from fishcnn.commands.experiment_file import read_experiment, write_experiment
from fishcnn.commands.known_settings import KnownSettings
from fishcnn.commands.overrides import quote_values
from fishcnn.commands.settings import CONF, plain
from fishcnn.utils.errors import FishError

KNOWN = KnownSettings("train")
ODD = "/a, b/c'd/${e}"
SETTINGS = [
    "experiment=best",
    "model.blocks=2",
    "model.blocks=3",
    "augment=strong",
    "data.normalize=[[0.1, 0.2, 0.3], [1, 1, 1]]",
    "data.group_regex='^(a|b), \"c\"'",
    "trainer.gradient_clip_val=null",
    "+optimizer.betas=[0.8,0.9]",
    "callbacks.ema.enabled=false",
]


def test_what_is_written_is_composed_as_if_it_were_typed(tmp_path: Path) -> None:
    file = tmp_path / "tuned.yaml"
    write_experiment(file, SETTINGS, [*KNOWN.groups], "why\nso")
    assert file.read_text().startswith("# @package _global_\n# why so\ndefaults:\n- best\n")
    words = read_arguments("train", [f"experiment={file}", "seed=3"])
    with initialize_config_dir(str(CONF), version_base="1.3"):
        read = compose("train", words)
        typed = compose("train", [*SETTINGS, "seed=3"])
    assert plain(read) == plain(typed)


def test_the_very_file_is_an_experiment_of_hydra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "tuned.yaml"
    write_experiment(file, SETTINGS, [*KNOWN.groups], "why")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        path = f"hydra.searchpath=['file://{tmp_path}']"
        composed = compose("train", ["experiment=tuned", path])
        typed = compose("train", SETTINGS)
    assert plain(composed) == plain(typed)


def test_what_is_typed_wins(tmp_path: Path) -> None:
    file = tmp_path / "tuned.yml"
    file.write_text("defaults: [{override /augment: strong}]\nmodel: {blocks: 3}\nseed: 1\n")
    words = read_arguments("train", ["model.blocks=2", f"experiment={file}", "augment=none"])
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", words)
    assert (config.model.blocks, config.augment.name, config.seed) == (2, "none", 1)


ON_IMAGES = [
    *("data=folder", "data.root='/a/b'", "data.labels='/a/b.csv'", "data.val_fraction=0.3"),
    *("data.layout='classes'", "model=timm", "model.architecture='resnet18'"),
    "model.weights='/a/b.pt'",
]
ON_FISH = ["data.species=3", "data.batch_size=8", "model.blocks=3", "model.dropout=0.2"]


@pytest.mark.parametrize(
    ("settings", "typed", "gone"),
    [
        (ON_IMAGES, [], []),
        (ON_IMAGES, ["data=folder", "model=timm"], []),
        (ON_IMAGES, ["there"], ["data.root='/a/b'"]),
        (ON_IMAGES, ["data.root=there"], ["data.root='/a/b'"]),
        (ON_IMAGES, ["data=synthetic"], [*ON_IMAGES[:3], "data.layout='classes'"]),
        (ON_IMAGES, ["data=bengali_fish"], [*ON_IMAGES[:3], "data.layout='classes'"]),
        (
            ON_IMAGES,
            ["-m", "data=synthetic,bengali_fish"],
            [*ON_IMAGES[:3], "data.layout='classes'"],
        ),
        (ON_IMAGES, ["model=cnn"], ON_IMAGES[5:]),
        (ON_IMAGES, ["model=torchvision"], ["model=timm", "model.weights='/a/b.pt'"]),
        (ON_FISH, ["there"], ["data.species=3"]),
        (ON_FISH, ["data=synthetic", "optimizer=sgd"], []),
        (ON_FISH, ["model=timm"], ["model.blocks=3", "model.dropout=0.2"]),
        (["data=synthetic", *ON_FISH], ["there"], ["data=synthetic", "data.species=3"]),
    ],
)
def test_other_images_or_another_network_leave_what_they_have_too(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: list[str],
    typed: list[str],
    gone: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    write_experiment(tmp_path / "x.yaml", settings, [*KNOWN.groups], "why")
    words = set(read_arguments("train", ["experiment=x.yaml", *typed]))
    assert words == set(read_arguments("train", typed)) | ({*settings} - {*gone})


@pytest.mark.parametrize("typed", ["data=nope", "experiment x.yaml"])
def test_a_slip_is_answered_as_without_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_experiment(tmp_path / "x.yaml", ON_IMAGES, [*KNOWN.groups], "why")
    with pytest.raises(FishError) as alone:
        read_arguments("train", typed.split())
    assert "data.root" not in str(alone.value)
    with pytest.raises(FishError) as beside:
        read_arguments("train", ["experiment=x.yaml", *typed.split()])
    assert str(alone.value).splitlines()[0] in str(beside.value)
    assert "belongs to" not in str(beside.value)
    assert "data.root" not in str(beside.value)


def test_a_folder_is_that_which_is_written(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    write_experiment(file, ["data=folder", quote_values([f"data.root={ODD}"])[0]], ["data"], "why")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("train", read_arguments("train", [f"experiment={file}"]))
    assert composed.data.root == ODD


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file; choose one of best, "),
        ("a: [", "cannot be read"),
        ("- a", "is not an experiment"),
        ("defaults: 5", "is not an experiment"),
        ("defaults: [{override /model: vgg}]", "there is no model=vgg"),
        ("defaults: [nowhere]", "there is no experiment=nowhere"),
    ],
)
def test_a_file_that_is_no_experiment_is_named(
    tmp_path: Path, content: str | None, message: str
) -> None:
    file = tmp_path / "x.yaml"
    if content:
        file.write_text(content)
    with pytest.raises(FishError) as caught:
        read_experiment(file, KNOWN)
    assert str(caught.value).startswith(f"experiment={file}")
    assert message in str(caught.value)


def test_a_setting_that_is_not_there_is_answered_like_a_typed_one(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("model: {block: 3}\n")
    with pytest.raises(FishError, match=r"model.block: no such setting; did you mean model.blocks"):
        read_arguments("train", [f"experiment={tmp_path / 'x.yaml'}"])
