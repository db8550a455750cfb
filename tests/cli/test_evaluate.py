"""scripts/evaluate.py on one small run: what it writes, says and refuses."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from networks import make_overconfident
from omegaconf import OmegaConf
from running import run_and_read

from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import percent

pytestmark = [
    # Lightning turns its own warnings into output.
    pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning"),
]


@pytest.fixture
def images(trained: RunFolder) -> Path:
    """The images that the run was trained on, which are not to be changed."""
    return Path(OmegaConf.load(trained.config).data.root)


def numbers(folder: Path) -> dict:
    return json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))


def predictions(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_without_an_argument_it_judges_the_latest_run_on_its_validation_images(
    trained: RunFolder,
) -> None:
    before = {path for path in Path.cwd().rglob("*") if path.is_file()}
    status, printed = run_and_read("evaluate")
    assert status == 0, printed

    found = numbers(trained.evaluation("val"))
    summary = json.loads(trained.summary.read_text(encoding="utf-8"))
    split = json.loads(trained.split.read_text(encoding="utf-8"))
    assert found["pictures_judged"] == len(split["val"]) == 22
    assert found["accuracy"] == pytest.approx(summary["val_acc"], abs=1e-6)
    assert found["accuracy_interval"] == pytest.approx(summary["val_acc_interval"])
    assert found["macro_f1"] == pytest.approx(summary["val_f1"], abs=1e-6)
    assert found["top_k"]["3"] == pytest.approx(summary["val_top3"], abs=1e-6)
    assert "slightly optimistic" in found["remarks"][0]
    rows = predictions(trained.evaluation("val"))
    assert [row["path"] for row in rows] == split["val"]
    assert sum(row["true"] == row["predicted"] for row in rows) == found["hits"]
    assert f"{percent(found['accuracy'])}" in printed
    assert "warning" not in printed

    # Nothing was written anywhere else: no log, no configuration.
    new = {path for path in Path.cwd().rglob("*") if path.is_file()} - before
    names = ("report.html", "evaluation.json", "predictions.csv")
    assert new == {trained.evaluation("val") / name for name in names}


def test_the_former_name_of_the_split_is_taken_with_a_word_about_the_new_one(
    trained: RunFolder,
) -> None:
    status, printed = run_and_read("evaluate", "side=val")
    assert status == 0, printed
    assert "side=val: this setting is now called split; type split=val" in printed
    assert trained.evaluation("val").is_dir()
    status, printed = run_and_read("evaluate", "side=test")
    assert status == 1
    assert "error: split=test: the run was trained without a test split" in printed


def test_predictions_use_the_temperature_that_was_stored(trained: RunFolder, images: Path) -> None:
    make_overconfident(trained.best_checkpoint)
    untouched = trained.last_checkpoint.read_bytes()
    status, printed = run_and_read("evaluate", "calibrate=true")
    assert status == 0, printed
    calibration = numbers(trained.evaluation("val"))["calibration"]
    assert calibration["stored"], calibration["remark"]
    assert calibration["temperature"] == calibration["fitted"] != 1

    classifier = FishClassifier.load_from_checkpoint(trained.best_checkpoint, weights_only=True)
    assert classifier.temperature.item() == pytest.approx(calibration["temperature"])
    for row in predictions(trained.evaluation("val"))[:3]:
        (answer,) = classifier.cpu().predict(images / row["path"])
        assert answer.label == row["predicted"]
        assert answer.probability == pytest.approx(float(row["probability"]), rel=1e-3)
        classifier.temperature.fill_(1.0)
        (uncalibrated,) = classifier.predict(images / row["path"])
        assert uncalibrated.probability != pytest.approx(answer.probability, rel=1e-3)
        classifier.temperature.fill_(calibration["temperature"])
    assert trained.last_checkpoint.read_bytes() == untouched

    # The next evaluation starts from there.
    status, printed = run_and_read("evaluate", f"ckpt={trained.best_checkpoint}", "output=again")
    assert status == 0, printed
    again = numbers(Path("again"))["calibration"]
    assert again["temperature"] == pytest.approx(calibration["temperature"])
    assert not again["stored"]


def test_a_calibrated_run_can_be_trained_on(trained: RunFolder) -> None:
    make_overconfident(trained.best_checkpoint)
    assert run_and_read("evaluate", "calibrate=true")[0] == 0
    judged = torch.load(trained.best_checkpoint, weights_only=True)
    assert judged["state_dict"]["temperature"] > 1
    typed = [str(override) for override in OmegaConf.load(trained.overrides)]
    replaced = ("trainer.max_epochs", "hydra.run.dir")
    status, printed = run_and_read(
        "train",
        *(override for override in typed if not override.startswith(replaced)),
        "trainer.max_epochs=5",
        f"ckpt_path={trained.path}",
        "hydra.run.dir=continued",
    )
    assert status == 0, printed
    continued = RunFolder(Path("continued"))
    content = torch.load(continued.last_checkpoint, weights_only=True)
    assert content["epoch"] == 4
    assert content["state_dict"]["temperature"] == 1


def test_another_folder_is_judged_whole_and_its_classes_have_to_be_known(
    trained: RunFolder, images: Path
) -> None:
    others = Path(shutil.copytree(images, "others"))
    root = f"data_root={others}/banded_carp/.."
    status, printed = run_and_read("evaluate", root, "tta=true", "top_k=2")
    assert status == 0, printed
    found = numbers(trained.evaluation("others"))
    assert found["pictures_judged"] == 36
    assert found["threshold"]["chosen_on"] == "others"
    assert set(found["top_k"]) == {"1", "2"}
    assert found["tta"]["with"]["accuracy"] == found["accuracy"]
    assert found["tta"]["with"]["log_loss"] != found["tta"]["without"]["log_loss"]

    (others / "banded_carp").rename(others / "Hilsa")
    status, printed = run_and_read("evaluate", f"data_root={others}")
    assert status == 1
    assert "the folder has 3: Hilsa, " in printed
    assert "the network has 3: banded_carp, " in printed


def test_a_folder_that_has_changed_since_the_training_is_refused(
    trained: RunFolder, images: Path
) -> None:
    moved = Path(shutil.copytree(images, "moved")).absolute()
    config = OmegaConf.load(trained.config)
    config.data.root, config.data.masks_root = str(moved), None
    OmegaConf.save(config, trained.config)
    assert run_and_read("evaluate")[0] == 0
    shutil.copy(moved / "banded_carp" / "0000.jpg", moved / "banded_carp" / "another.jpg")
    status, printed = run_and_read("evaluate")
    assert status == 1
    assert re.search(r"error: .*moved has changed since .*split\.json lists 22 val images", printed)
    assert printed.rstrip().endswith("by data_root=")


def test_a_checkpoint_that_was_moved_needs_a_folder_of_images(
    trained: RunFolder, images: Path
) -> None:
    moved = Path("moved")
    moved.mkdir()
    checkpoint = Path(shutil.copy(trained.best_checkpoint, moved))
    status, printed = run_and_read("evaluate", f"ckpt={checkpoint}")
    assert status == 1
    assert "lies outside its run folder" in printed
    assert "data_root=" in printed
    root = f"data_root={images}"
    status, printed = run_and_read("evaluate", f"ckpt={checkpoint}", root, "calibrate=true")
    assert (status, "calibrate=true needs the validation images" in printed) == (1, True)
    status, printed = run_and_read("evaluate", f"ckpt={checkpoint}", root)
    assert status == 0, printed
    assert (moved / "evaluation" / images.name / "report.html").is_file()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("split=train", "split=train: choose one of val, test"),
        ("side=train", "side=train: choose one of val, test"),
        ("split=test", "split=test: the run was trained without a test split"),
        ("top_k=0", "top_k=0: must be a whole number, 1 or more"),
        ("precision_wanted=95", "precision_wanted=95: must be a number above 0 up to 1"),
        ("calibrate=maybe", "calibrate=maybe: must be true or false"),
        ("ckpt=nowhere", "ckpt=nowhere: there is no such file or folder in /"),
        ("data_root=nowhere", "data_root=nowhere"),
    ],
)
def test_a_setting_that_cannot_be_is_named(trained: RunFolder, override: str, message: str) -> None:
    status, printed = run_and_read("evaluate", override)
    assert status == 1
    assert f"error: {message}" in printed
