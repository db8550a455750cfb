"""Settings in a file, in place of the name of an experiment."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from fishcnn.commands.arguments import read_arguments
from fishcnn.commands.experiment_file import read_experiment, write_experiment
from fishcnn.commands.known_settings import KnownSettings
from fishcnn.commands.settings import CONF, plain
from fishcnn.utils.errors import FishError

KNOWN = KnownSettings("train")
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
