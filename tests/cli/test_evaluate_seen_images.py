"""scripts/evaluate.py on images that the network has learnt from, or may have."""

import json
import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from running import evaluated_copy, run_and_read

from fishcnn.data.splitting.split_digests import SplitDigests
from fishcnn.utils.run_folder import RunFolder


def test_new_names_and_folders_hide_nothing(trained: RunFolder, copy: Path) -> None:
    for file in list(copy.rglob("*.jpg")):
        file.rename(file.with_name(f"new-{file.name}.jpeg"))
    for folder in list(copy.iterdir()):
        (copy / "train").mkdir(exist_ok=True)
        folder.rename(copy / "train" / folder.name)
    shutil.copytree(copy / "train", copy / "val")
    assert evaluated_copy(trained)[0]["trained_on"]["identical"] == 28


def test_where_nothing_else_is_left_there_is_no_second_number(
    trained: RunFolder, copy: Path
) -> None:
    for path in json.loads(trained.split.read_text())["val"]:
        (copy / path).unlink()
    found = evaluated_copy(trained)[0]
    assert found["trained_on"]["without"] is None
    assert "these scores say nothing about new images" in found["remarks"][0]


def test_images_that_the_network_has_not_seen_are_judged_without_a_remark(
    trained: RunFolder, copy: Path
) -> None:
    for path in json.loads(trained.split.read_text())["train"]:
        (copy / path).unlink()
    found = evaluated_copy(trained)[0]
    assert found["trained_on"]["identical"] == found["trained_on"]["near_duplicates"] == 0
    assert found["remarks"] == []


@pytest.mark.parametrize("digests", [True, False])
def test_on_another_machine_bytes_are_compared_and_the_rest_is_said(
    trained: RunFolder, copy: Path, digests: bool
) -> None:
    config = OmegaConf.load(trained.config)
    config.data.root = "/gone/images"
    OmegaConf.save(config, trained.config)
    if not digests:
        trained.digests.unlink()
    found = evaluated_copy(trained)[0]
    assert found["trained_on"]["identical"] == 14 * digests
    assert "data.root=/where/they/are/now" in found["trained_on"]["not_checked"]
    assert found["remarks"][-1] == found["trained_on"]["not_checked"]
    # An earlier version has kept no digests, but the images themselves may be there.
    seen = evaluated_copy(trained, "data.root=copy")[0]["trained_on"]
    assert (seen["identical"], seen["not_checked"]) == (14, None)


def test_a_checkpoint_without_its_run_cannot_say_what_it_has_seen(
    trained: RunFolder, copy: Path
) -> None:
    checkpoint = Path(shutil.copy(trained.best_checkpoint, "alone.ckpt"))
    status, printed = run_and_read(
        "evaluate", "data_root=copy", f"ckpt={checkpoint}", "output=found"
    )
    assert status == 0, printed
    seen = json.loads(Path("found/evaluation.json").read_text())["trained_on"]
    assert seen["not_checked"].startswith("It is not known whether the network was trained on some")


def test_a_test_split_that_an_earlier_run_was_trained_on_is_found(trained: RunFolder) -> None:
    """As after ckpt_path= of a run without that split."""
    known = SplitDigests.load(trained.digests)
    SplitDigests(known.train, known.val, known.test, known.val[:5]).save(trained.digests)
    assert run_and_read("evaluate")[0] == 0
    found = json.loads((trained.evaluation("val") / "evaluation.json").read_text())
    assert found["trained_on"]["identical"] == 5
    assert found["trained_on"]["without"]["pictures_judged"] == 17
