"""scripts/export.py on one small run: what it writes, says and refuses."""

import contextlib
import io
import json
import re
import runpy
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from running import run_and_read
from torch import Tensor

from fishcnn.commands.export.exported_classifier import ExportedClassifier
from fishcnn.models.classifier import FishClassifier

WEIGHTS_ONLY = "formats=[safetensors]"

Script = Callable[..., tuple[int, str]]

pytestmark = [
    # Lightning turns its own warnings into output.
    pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning"),
]


@pytest.fixture(scope="module")
def run(fish: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run folder; pictures of it are decoded again from the cache of this fixture."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("trained")
        patch.chdir(folder)
        patch.setenv("FISHCNN_CACHE", str(folder / "cache"))
        status, printed = run_and_read(
            "train",
            "data=folder",
            f"data.root={fish / 'pictures'}",
            f"data.masks_root={fish / 'masks'}",
            "data.image_size=32",
            "data.batch_size=8",
            "model.blocks=2",
            "trainer.accelerator=cpu",
            "trainer.max_epochs=2",
            "callbacks.progress.enabled=false",
            "logger=none",
        )
        assert status == 0, printed
        (run,) = (folder / "runs").glob("*/*")
        yield run


@pytest.fixture(scope="module")
def exported(run: Path) -> tuple[Path, str]:
    """The folder of all files, and what was printed."""
    status, printed = run_and_read("export")  # the latest run below the folder we stand in
    assert status == 0, printed
    return run / "export", printed


@pytest.fixture
def elsewhere(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_everything_that_was_promised_is_in_the_run_folder(exported: tuple[Path, str]) -> None:
    folder, printed = exported
    assert {file.name for file in folder.iterdir()} == {
        "model.onnx",
        "model.pt2",
        "model.safetensors",
        "MODEL_CARD.md",
        "grad_cam.png",
        "export.json",
    }
    results = json.loads((folder / "export.json").read_text())
    assert list(results["formats"]) == ["onnx", "torch", "safetensors"]
    for one in results["formats"].values():
        assert one["pictures"] == one["same_top1"] == 7  # a fifth of 36
        assert one["max_abs_difference"] < 1e-5
        assert one["bytes"] == (folder / one["file"]).stat().st_size
        assert one["file"] in printed
    assert "7 of 7" in printed
    assert str(folder / "MODEL_CARD.md") in printed
    # Others may read each of them, if they may read this one.
    assert len({file.stat().st_mode for file in folder.iterdir()}) == 1


def test_the_card_tells_data_recipe_metrics_and_limits(
    exported: tuple[Path, str], run: Path, fish: Path
) -> None:
    card = (exported[0] / "MODEL_CARD.md").read_text(encoding="utf-8")
    summary = json.loads((run / "summary.json").read_text())
    low, high = summary["val_acc_interval"]
    assert f"| accuracy | {summary['val_acc']:.1%} | {low:.1%} to {high:.1%} |" in card
    assert f"epoch {summary['best_epoch']} of 2" in card
    assert "chosen for its loss on these very pictures" in card
    for name in summary["classes"]:
        assert re.search(rf"^\| {name} \| (9 \| 3|10 \| 2) \| 12 \|$", card, flags=re.MULTILINE)
    assert "`data.root=.../pictures`" not in card
    assert "data.root=.../pictures " in card
    assert str(fish) not in card
    assert "cnn, blocks 2" in card
    assert "up to 2 epochs" in card
    assert "Not calibrated" in card
    assert "knows only these 3 classes" in card
    assert "](grad_cam.png)" in card
    assert f"| torch | {torch.__version__.partition('+')[0]}" in card
    assert f"| onnxruntime |  | {version('onnxruntime')} |" in card
    for line in (run / "diagnosis.md").read_text().splitlines():
        assert not line.startswith("**") or line in card


def test_the_programs_in_the_card_say_what_the_network_says(
    exported: tuple[Path, str], run: Path, fish: Path, elsewhere: Path
) -> None:
    for file in exported[0].iterdir():
        shutil.copy(file, elsewhere)
    picture = sorted((fish / "pictures").rglob("*.jpg"))[5]
    shutil.copy(picture, elsewhere / "fish.jpg")
    classifier = FishClassifier.load_from_checkpoint(
        run / "checkpoints" / "best.ckpt", weights_only=True, map_location="cpu"
    )
    (expected,) = classifier.predict(picture)
    card = (exported[0] / "MODEL_CARD.md").read_text(encoding="utf-8")
    programs = re.findall(r"^```python\n(.*?)^```$", card, flags=re.MULTILINE | re.DOTALL)
    assert len(programs) == 3
    for number, program in enumerate(programs):
        (elsewhere / f"{number}.py").write_text(program)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            runpy.run_path(f"{number}.py")
        label, probability = printed.getvalue().split()
        assert label == expected.label
        # Pillow may decode a JPEG at half its size for the network, which changes it a little.
        assert float(probability) == pytest.approx(expected.probability, abs=0.02)


def test_it_runs_from_any_folder_and_leaves_nothing_there(run: Path, elsewhere: Path) -> None:
    status, printed = run_and_read("export", f"ckpt={run}", "output=out", WEIGHTS_ONLY)
    assert status == 0, printed
    assert [file.name for file in elsewhere.iterdir()] == ["out"]
    assert (elsewhere / "out" / "model.safetensors").is_file()
    assert not (elsewhere / "out" / "model.onnx").exists()


@pytest.mark.parametrize("kind", ["onnx", "torch", "safetensors"])
def test_a_file_that_does_not_agree_is_refused_and_removed(
    kind: str, run: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = ExportedClassifier.forward

    def blue_first(self: ExportedClassifier, images: Tensor) -> Tensor:
        return right(self, images.flip(3))

    monkeypatch.setattr(ExportedClassifier, "forward", blue_first)
    status, printed = run_and_read("export", f"ckpt={run}", "output=out", f"formats=[{kind}]")
    assert status == 1
    assert f"{kind} was refused and nothing was exported: on 7 pictures" in printed
    assert re.search(r"up to \S+ off", printed)
    assert not list((elsewhere / "out").iterdir())


def test_a_refused_format_leaves_an_earlier_export_as_it_was(
    exported: tuple[Path, str], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {file: file.read_bytes() for file in exported[0].iterdir()}

    def broken(self: ExportedClassifier, images: Tensor) -> Tensor:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(ExportedClassifier, "forward", broken)
    status, printed = run_and_read("export", f"ckpt={run}", "formats=[safetensors,torch]")
    assert status == 1
    assert "RuntimeError: no such operator. Without it: formats=[torch]" in printed
    assert {file: file.read_bytes() for file in exported[0].iterdir()} == before


def test_a_checkpoint_without_its_run_needs_pictures_and_says_so(
    run: Path, fish: Path, elsewhere: Path
) -> None:
    moved = elsewhere / "moved" / "fish.ckpt"
    moved.parent.mkdir()
    shutil.copy(run / "checkpoints" / "best.ckpt", moved)
    status, printed = run_and_read("export", f"ckpt={moved}", WEIGHTS_ONLY)
    assert status == 1
    assert "or the pictures by input=" in printed

    one = next((fish / "pictures").rglob("*.jpg"))
    for pictures, count in ((one, 1), (fish / "pictures", 36)):
        status, printed = run_and_read("export", f"ckpt={moved}", f"input={pictures}", WEIGHTS_ONLY)
        assert status == 0, printed
        assert f"{count} of {count}" in printed
    card = (moved.parent / "export" / "MODEL_CARD.md").read_text()
    assert "this is not on record" in card
    assert "No sheet" in card

    status, printed = run_and_read("export", f"ckpt={moved}", "input=nowhere", WEIGHTS_ONLY)
    assert status == 1
    assert "input=nowhere does not exist" in printed


def test_pictures_that_are_gone_are_asked_for(run: Path, elsewhere: Path) -> None:
    copied = elsewhere / "run"
    shutil.copytree(run, copied)
    config = (copied / "config.yaml").read_text()
    (copied / "config.yaml").write_text(
        re.sub(r"root: .*pictures$", "root: /gone", config, flags=re.M)
    )
    status, printed = run_and_read("export", f"ckpt={copied}", WEIGHTS_ONLY)
    assert status == 1
    assert "data.root=/gone: does not exist" in printed
    assert "name other pictures by input=/path/to/pictures" in printed


def test_the_card_tells_what_is_known_of_a_calibrated_or_later_checkpoint(
    run: Path, elsewhere: Path
) -> None:
    copied = elsewhere / "run"
    shutil.copytree(run, copied)
    best = copied / "checkpoints" / "best.ckpt"
    content = torch.load(best, weights_only=True)
    content["state_dict"]["temperature"] = torch.tensor(2.0)
    content["epoch"] += 7  # not that of the summary any more
    torch.save(content, best)
    (copied / "evaluation").mkdir()
    evaluation = copied / "evaluation" / "evaluation.json"
    evaluation.write_text(json.dumps({"accuracy": 0.875, "ece": 0.0321, "else": []}))
    status, printed = run_and_read("export", f"ckpt={copied}", WEIGHTS_ONLY)
    assert status == 0, printed
    card = (copied / "export" / "MODEL_CARD.md").read_text()
    assert "divided by the temperature 2.000" in card
    assert "accuracy 87.5%, expected calibration error 0.032" in card
    assert "The run has no summary of this checkpoint." in card
    results = json.loads((copied / "export" / "export.json").read_text())
    assert results["temperature"] == 2
    assert results["formats"]["safetensors"]["max_abs_difference"] < 1e-5
