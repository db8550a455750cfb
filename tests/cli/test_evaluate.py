"""scripts/evaluate.py on one small run: what it writes, says and refuses."""

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from running import run_and_read

from fishcnn.models.classifier import FishClassifier

pytestmark = [
    # Lightning turns its own warnings into output.
    pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning"),
]


@pytest.fixture(scope="module")
def place(fish: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to stand in, with one run of 22 validation pictures below it."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("place")
        patch.chdir(place)
        patch.setenv("FISHCNN_CACHE", str(place / "cache"))
        shutil.copytree(fish / "pictures", place / "pictures")
        status, printed = run_and_read(
            "train",
            "data=folder",
            f"data.root={place / 'pictures'}",
            "data.image_size=32",
            "data.batch_size=8",
            "data.val_fraction=0.6",
            "model.blocks=2",
            "trainer.accelerator=cpu",
            "trainer.max_epochs=4",
            "callbacks.progress.enabled=false",
            "callbacks.grad_cam.enabled=false",
            "logger=none",
        )
        assert status == 0, printed
        yield place


@pytest.fixture
def run(place: Path) -> Iterator[Path]:
    """The run; what a test changes in its checkpoint is put back."""
    (run,) = (place / "runs").glob("*/*")
    best = run / "checkpoints" / "best.ckpt"
    before, times = best.read_bytes(), best.stat()
    yield run
    if best.read_bytes() != before:
        best.write_bytes(before)
    assert best.stat().st_size == times.st_size


def numbers(folder: Path) -> dict:
    return json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))


def predictions(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_without_an_argument_it_judges_the_latest_run_on_its_validation_pictures(
    run: Path, place: Path
) -> None:
    before = {path for path in place.rglob("*") if path.is_file()}
    status, printed = run_and_read("evaluate")
    assert status == 0, printed

    found = numbers(run / "evaluation" / "val")
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    split = json.loads((run / "split.json").read_text(encoding="utf-8"))
    assert found["pictures_judged"] == len(split["val"]) == 22
    assert found["accuracy"] == pytest.approx(summary["val_acc"], abs=1e-6)
    assert found["accuracy_interval"] == pytest.approx(summary["val_acc_interval"])
    assert found["macro_f1"] == pytest.approx(summary["val_f1"], abs=1e-6)
    assert found["top_k"]["3"] == pytest.approx(summary["val_top3"], abs=1e-6)
    assert "a little too good" in found["remarks"][0]
    rows = predictions(run / "evaluation" / "val")
    assert [row["path"] for row in rows] == split["val"]
    assert sum(row["true"] == row["predicted"] for row in rows) == found["hits"]
    assert f"{found['accuracy']:.1%}" in printed

    # Nothing was written anywhere else: no log, no configuration.
    new = {path for path in place.rglob("*") if path.is_file()} - before
    names = {"report.html", "evaluation.json", "predictions.csv"}
    assert {path.name for path in new if "cache" not in path.parts} == names
    assert not (place / ".hydra").exists()


def test_predictions_use_the_temperature_that_was_stored(run: Path, place: Path) -> None:
    best, last = (run / "checkpoints" / f"{name}.ckpt" for name in ("best", "last"))
    untouched = last.read_bytes()
    status, printed = run_and_read("evaluate", "calibrate=true")
    assert status == 0, printed
    calibration = numbers(run / "evaluation" / "val")["calibration"]
    assert calibration["stored"], calibration["remark"]
    assert calibration["temperature"] == calibration["fitted"] != 1

    classifier = FishClassifier.load_from_checkpoint(best, weights_only=True)
    assert classifier.temperature.item() == pytest.approx(calibration["temperature"])
    for row in predictions(run / "evaluation" / "val")[:3]:
        path = place / "pictures" / row["path"]
        (answer,) = classifier.cpu().predict(path)
        assert answer.label == row["predicted"]
        assert answer.probability == pytest.approx(float(row["probability"]), rel=1e-3)
        classifier.temperature.fill_(1.0)
        (uncalibrated,) = classifier.predict(path)
        assert uncalibrated.probability != pytest.approx(answer.probability, rel=1e-3)
        classifier.temperature.fill_(calibration["temperature"])
    assert last.read_bytes() == untouched

    # The next evaluation starts from there.
    status, printed = run_and_read("evaluate", f"ckpt={best}", f"output={place / 'again'}")
    assert status == 0, printed
    again = numbers(place / "again")["calibration"]
    assert again["temperature"] == pytest.approx(calibration["temperature"])
    assert not again["stored"]


def test_a_calibrated_run_can_be_trained_on(run: Path, place: Path) -> None:
    assert run_and_read("evaluate", "calibrate=true")[0] == 0
    overrides = (run / ".hydra" / "overrides.yaml").read_text().replace("- ", "").splitlines()
    kept = [line for line in overrides if not line.startswith("trainer.max_epochs")]
    status, printed = run_and_read(
        "train",
        *kept,
        "trainer.max_epochs=5",
        f"ckpt_path={run}",
        f"hydra.run.dir={place / 'continued'}",
    )
    assert status == 0, printed
    content = torch.load(place / "continued" / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["epoch"] == 4
    assert content["state_dict"]["temperature"] == 1


def test_another_folder_is_judged_whole_and_its_classes_have_to_be_known(
    run: Path, place: Path
) -> None:
    others = Path(shutil.copytree(place / "pictures", place / "others"))
    status, printed = run_and_read("evaluate", f"data_root={others}", "tta=true", "top_k=2")
    assert status == 0, printed
    found = numbers(run / "evaluation" / "others")
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
    shutil.rmtree(others)


def test_a_folder_that_has_changed_since_the_training_is_refused(run: Path, place: Path) -> None:
    extra = place / "pictures" / "banded_carp" / "another.jpg"
    shutil.copy(place / "pictures" / "banded_carp" / "0000.jpg", extra)
    status, printed = run_and_read("evaluate")
    extra.unlink()
    assert status == 1
    assert re.search(r"error: side=val: .*split\.json lists 22 pictures", printed)
    assert "data_root=" in printed


def test_a_checkpoint_that_was_moved_needs_a_folder_of_pictures(run: Path, place: Path) -> None:
    moved = place / "moved"
    moved.mkdir()
    checkpoint = Path(shutil.copy(run / "checkpoints" / "best.ckpt", moved))
    status, printed = run_and_read("evaluate", f"ckpt={checkpoint}")
    assert status == 1
    assert "lies outside its run folder" in printed
    assert "data_root=" in printed
    root = f"data_root={place / 'pictures'}"
    status, printed = run_and_read("evaluate", f"ckpt={checkpoint}", root, "calibrate=true")
    assert (status, "calibrate=true needs the validation pictures" in printed) == (1, True)
    status, printed = run_and_read("evaluate", f"ckpt={checkpoint}", root)
    assert status == 0, printed
    assert (moved / "evaluation" / "pictures" / "report.html").is_file()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("side=train", "error: side=train: there is val, test"),
        ("side=test", "error: side=test: the run was trained without a test side"),
        ("top_k=0", "error: top_k=0: wanted a whole number, 1 or more"),
        ("precision_wanted=95", "error: precision_wanted=95: wanted a share"),
        ("calibrate=maybe", "error: calibrate=maybe: wanted true or false"),
        ("ckpt=nowhere", "error: ckpt=nowhere: wanted a checkpoint file"),
    ],
)
def test_a_setting_that_cannot_be_is_named(run: Path, override: str, message: str) -> None:
    status, printed = run_and_read("evaluate", override)
    assert status == 1
    assert message in printed
