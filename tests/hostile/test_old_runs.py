"""Run folders that somebody has damaged: one clear error, and what can be used all the same."""

import json
import os
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from running import images_of, network_of, run_and_read

from fishcnn.commands.export.model_card import model_card
from fishcnn.commands.export.preparation import FilesAgreement
from fishcnn.commands.train.sweep import read_jobs
from fishcnn.models.checkpoint import CheckpointError, verified_checkpoint
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.run_folder import RunFolder


def flip(file: Path) -> None:
    """Change 200 bytes in the middle."""
    content = bytearray(file.read_bytes())
    generator = random.Random(0)
    middle = range(len(content) // 3, 2 * len(content) // 3)
    for position in generator.sample(middle, 200):
        content[position] ^= 0xFF
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def saved(change: Callable[[dict], None]) -> Callable[[Path], None]:  # type: ignore[type-arg]
    def save(file: Path) -> None:
        content = torch.load(file, weights_only=True)
        change(content)
        torch.save(content, file)

    return save


def infinite(content: dict) -> None:  # type: ignore[type-arg]
    next(iter(content["state_dict"].values())).view(-1)[0] = float("nan")


CHECKPOINTS = {
    "flipped": (flip, "is damaged: the checksum of its part"),
    "cut": (cut, "is damaged, or was cut short"),
    "empty": (lambda file: file.write_bytes(b""), "is empty"),
    "zeros": (lambda file: file.write_bytes(bytes(5000)), "is not a checkpoint of fishcnn"),
    "text": (lambda file: file.write_text("PK what?"), "is damaged, or was cut short"),
    "other": (lambda file: torch.save([1, 2], file), "is not a checkpoint of fishcnn"),
    "code": (lambda file: torch.save({"state_dict": print}, file), "is not a checkpoint"),
    "no weights": (saved(lambda c: c["state_dict"].clear()), "holds no weights"),
    "no settings": (saved(lambda c: c.pop("hyper_parameters")), "is not a checkpoint of fishcnn"),
    "other weights": (saved(lambda c: c["state_dict"].popitem()), "does not fit this version"),
    "nan": (saved(infinite), "holds weights that are not finite"),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_damaged_checkpoint_is_named_and_so_is_the_one_beside_it(
    trained: RunFolder, kind: str
) -> None:
    damage, problem = CHECKPOINTS[kind]
    damage(trained.best_checkpoint)
    status, printed = run_and_read("predict", f"input={images_of(trained)}", "output=out.csv")
    assert status == 1
    assert printed.count("error: ") == 1
    assert f"error: ckpt={trained.best_checkpoint.resolve()} {problem}" in printed
    assert f"last.ckpt beside it can be used, of epoch 4: name {trained.last_checkpoint}" in (
        printed.replace(str(trained.path.resolve()), str(trained.path))
    )
    assert not Path("out.csv").exists()


def test_a_pipe_in_place_of_a_file_is_not_waited_for(trained: RunFolder) -> None:
    trained.split.unlink()
    os.mkfifo(trained.split)
    status, printed = run_and_read("predict")
    assert status == 1
    assert f"{trained.split.resolve()} is not a regular file" in printed


def test_where_both_checkpoints_are_damaged_no_other_is_advised(trained: RunFolder) -> None:
    flip(trained.best_checkpoint)
    saved(infinite)(trained.last_checkpoint)
    with pytest.raises(CheckpointError, match=r"Nor can last.ckpt beside it be used"):
        verified_checkpoint(trained.best_checkpoint)
    with pytest.raises(CheckpointError, match="checksum"):
        FishClassifier.load_from_checkpoint(trained.best_checkpoint)
    assert FishClassifier.load_from_checkpoint(trained.last_checkpoint)  # to look at it


def test_training_does_not_go_on_from_a_damaged_checkpoint(trained: RunFolder) -> None:
    for checkpoint in trained.checkpoints.iterdir():
        flip(checkpoint)
    status, printed = run_and_read("train", "ckpt_path=runs/first", "trainer.max_epochs=9")
    assert status == 1
    assert "is damaged: the checksum of its part" in printed
    assert "Traceback" not in printed


BOMB = "a: &a [x, x]\n" + "".join(f"{n}: &{n} [*{p}, *{p}]\n" for p, n in pairwise("abcdefgh"))
CONFIGS = {
    "list": "- data\n- model\n",
    "partial": "data:\n  name: folder\n",
    "empty": "",
    "word": "data",
    "nested": "[" * 3000,
    "broken": "data: {name: [}",
    "aliases": BOMB,
    "long": "data: [" + "1, " * 1_000_000 + "]",
    "code": "!!python/object/apply:os.getcwd []",
    "binary": "\0\x01\x02",
    "date": "data: {name: 2020-01-01, 5: 6}",
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_damaged_configuration_is_named_and_images_can_be_classified(
    trained: RunFolder, kind: str
) -> None:
    trained.config.write_text(CONFIGS[kind])
    status, printed = run_and_read("evaluate")
    assert status == 1
    assert printed.count("error: ") == 1
    assert f"{trained.config.resolve()} is " in printed
    assert "predict and export by input=" in printed


def test_with_a_damaged_run_folder_named_images_can_still_be_classified(
    trained: RunFolder,
) -> None:
    some = images_of(trained)
    for file in (trained.config, trained.split, trained.summary, trained.versions):
        file.write_text("[")
    trained.evaluation("val").mkdir(parents=True)
    (trained.evaluation("val") / "evaluation.json").write_text('{"checkpoint": 5}')
    for command in (
        ["predict", f"input={some}", "output=out.csv"],
        ["explain", f"input={next(some.iterdir())}", "trust=false", "pictures=1"],
        ["evaluate", f"data_root={some}"],
    ):
        status, printed = run_and_read(*command)
        assert status == 0, printed
    card = model_card(
        network_of(trained),
        trained.best_checkpoint,
        files={},
        compared_on="images",
        from_files=FilesAgreement(1, 0, 1, 0.0),
        sheet=None,
        made_with={},
    )
    assert "this is not on record" in card


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", '{"val": 5}', '{"train": "x", "val": []}']
)
@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_without_the_split_nothing_is_said_of_held_out_images(
    trained: RunFolder, content: str | None, command: str
) -> None:
    trained.split.unlink()
    if content is not None:
        trained.split.write_text(content)
    status, printed = run_and_read(command)
    assert status == 1
    assert printed.count("error: ") == 1
    assert f"{trained.split.resolve()} is " in printed
    assert "it is not known which images the run has held out" in printed


@pytest.mark.parametrize("content", ["", "{", "[1]", '"x"', json.dumps({"val_acc": "high"})])
def test_the_table_of_a_sweep_passes_over_what_is_damaged(trained: RunFolder, content: str) -> None:
    trained.summary.write_text(content)
    trained.typed_last.write_bytes(b"\xff\xfe")
    trained.summary.touch()
    (job,) = read_jobs(trained.path.parent)
    assert (job.folder, job.overrides, job.val_acc) == ("first", {}, None)


def test_a_setting_of_the_run_that_was_changed_is_named(trained: RunFolder) -> None:
    text = trained.config.read_text()
    trained.config.write_text(text.replace("val_fraction: 0.6", "val_fraction: most"))
    status, printed = run_and_read("evaluate")
    assert status == 1
    assert "config.yaml is damaged: data.val_fraction=most: must be a number" in printed
