"""scripts/export.py on the trained run: what it writes, says and refuses."""

import contextlib
import io
import json
import re
import runpy
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from networks import make_overconfident
from running import evaluated_copy, images_of, network_of, run_and_read
from torch import Tensor

from fishcnn.commands.export.exported_classifier import ExportedClassifier
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import percent

QUICK = "formats=[torch]"

pytestmark = [
    # Lightning turns its own warnings into output.
    pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning"),
]


@pytest.fixture(scope="module")
def exported(_trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, str]:
    """A run that was evaluated and then exported to all formats, and what the latter printed."""
    place = tmp_path_factory.mktemp("exported")
    shutil.copytree(_trained / "runs", place / "runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("FISHCNN_CACHE", str(_trained / "cache"))
        for script in ("evaluate", "export"):  # of the latest run below the folder we stand in
            status, printed = run_and_read(script)
            assert status == 0, printed
    return RunFolder(place / "runs" / "first"), printed


def card_of(run: RunFolder) -> str:
    return (run.export / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_everything_that_was_promised_is_in_the_run_folder(
    exported: tuple[RunFolder, str],
) -> None:
    run, printed = exported
    assert {file.name for file in run.export.iterdir()} == {
        "model.onnx",
        "model.pt2",
        "MODEL_CARD.md",
        "grad_cam.png",
        "export.json",
    }
    results = json.loads((run.export / "export.json").read_text())
    assert list(results["formats"]) == ["onnx", "torch"]
    for one in results["formats"].values():
        assert one["pictures"] == one["same_top1"] == 22
        assert one["max_abs_difference"] < 1e-5
        assert one["bytes"] == (run.export / one["file"]).stat().st_size
        assert one["file"] in printed
    # The same pixels, but in another batch.
    assert results["prepared_from_files"].pop("max_abs_difference") < 1e-6
    assert results["prepared_from_files"] == {"pictures": 22, "unreadable": 0, "same_top1": 22}
    assert "22 of 22 lead to the same first class" in card_of(run)
    assert "22 of 22" in printed
    assert str(run.export / "MODEL_CARD.md") in printed
    # Others may read each of them, if they may read this one.
    assert len({file.stat().st_mode for file in run.export.iterdir()}) == 1


def test_the_card_tells_data_recipe_metrics_and_limits(
    exported: tuple[RunFolder, str],
) -> None:
    run, _ = exported
    card = card_of(run)
    summary = json.loads(run.summary.read_text())
    low, high = summary["val_acc_interval"]
    share = percent(summary["val_acc"])
    assert f"| accuracy | {share} | {percent(low)} to {percent(high)} |" in card
    assert f"epoch {summary['best_epoch']} of 4" in card
    assert "the one with the lowest loss on these very images" in card
    for name in summary["classes"]:
        assert re.search(rf"^\| {name} \| \d \| \d \| 12 \|$", card, flags=re.MULTILINE)
    assert "data.root=.../images " in card
    assert str(images_of(run).parent) not in card
    assert "cnn, blocks 2" in card
    assert "up to 4 epochs" in card
    assert "Not calibrated" in card
    assert "knows only these 3 classes" in card
    assert "](grad_cam.png)" in card
    assert f"| torch | {torch.__version__.partition('+')[0]}" in card
    assert f"| onnxruntime |  | {version('onnxruntime')} |" in card
    for line in run.diagnosis.read_text().splitlines():
        assert not line.startswith("**") or line in card


def test_the_card_shows_what_evaluate_measured(exported: tuple[RunFolder, str]) -> None:
    run, _ = exported
    (file,) = run.evaluations()
    found = json.loads(file.read_text())
    low, high = found["accuracy_interval"]
    assert (
        f"| validation | 22 | {percent(found['accuracy'])} | {percent(low)} to {percent(high)} "
        f"| {found['macro_f1']:.3f} | {found['ece']:.3f} | 1.000 |" in card_of(run)
    )
    said = "measured on 22 images (validation) an expected calibration error of "
    assert f"{said}{percent(found['calibration']['lines'][0]['ece'])}" in card_of(run)


def test_the_card_leaves_out_images_that_were_trained_on(trained: RunFolder, copy: Path) -> None:
    found, _ = evaluated_copy(trained)
    status, printed = run_and_read("export", QUICK)
    assert status == 0, printed
    others = found["trained_on"]["without"]
    error = "measured on 22 images (copy, those not trained on) an expected calibration error of "
    assert f"{error}{percent(others['ece'])}." in card_of(trained)
    row = f"| copy, those not trained on | 22 | {percent(others['accuracy'])} | "
    assert row in card_of(trained)


def test_a_calibrated_network_is_exported_with_its_temperature_and_the_card_says_so(
    trained: RunFolder,
) -> None:
    make_overconfident(trained.best_checkpoint)
    status, printed = run_and_read("evaluate", "calibrate=true")
    assert status == 0, printed
    status, printed = run_and_read("export", QUICK)
    assert status == 0, printed
    results = json.loads((trained.export / "export.json").read_text())
    temperature = results["temperature"]
    assert temperature != 1
    assert results["formats"]["torch"]["max_abs_difference"] < 1e-5
    card = card_of(trained)
    assert f"divided by the temperature {temperature:.3f}, fitted" in card
    assert f"| {temperature:.3f} |\n\n## Calibration" in card


def test_the_card_keeps_the_numbers_of_the_other_checkpoint_to_itself(trained: RunFolder) -> None:
    assert run_and_read("evaluate")[0] == 0
    content = torch.load(trained.last_checkpoint, weights_only=True)
    content["epoch"] += 7  # nor is it that of the summary
    torch.save(content, trained.last_checkpoint)
    status, printed = run_and_read("export", f"ckpt={trained.last_checkpoint}", QUICK)
    assert status == 0, printed
    card = card_of(trained)
    assert "The run has no summary of this checkpoint." in card
    assert "evaluate.py` measured" not in card
    assert "Not calibrated, and not measured: whether the probabilities are too high" in card


def test_the_programs_in_the_card_say_what_the_network_says(
    exported: tuple[RunFolder, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, _ = exported
    monkeypatch.chdir(tmp_path)
    for file in run.export.iterdir():
        shutil.copy(file, tmp_path)
    image = sorted(images_of(run).rglob("*.jpg"))[5]
    shutil.copy(image, tmp_path / "fish.jpg")
    (expected,) = network_of(run).predict(image)
    programs = re.findall(r"^```python\n(.*?)^```$", card_of(run), flags=re.MULTILINE | re.DOTALL)
    assert len(programs) == 2
    for number, program in enumerate(programs):
        (tmp_path / f"{number}.py").write_text(program)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            runpy.run_path(f"{number}.py")
        label, probability = printed.getvalue().split()
        assert label == expected.label
        # The programs round it.
        assert float(probability) == pytest.approx(expected.probability, abs=0.00051)


def test_it_runs_from_any_folder_and_leaves_nothing_there(
    trained: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    status, printed = run_and_read("export", f"ckpt={trained.path}", "output=out", QUICK)
    assert status == 0, printed
    assert [file.name for file in Path.cwd().iterdir()] == ["out"]
    assert Path("out/model.pt2").is_file()
    assert not Path("out/model.onnx").exists()


@pytest.mark.parametrize("kind", ["onnx", "torch"])
def test_a_file_that_does_not_agree_is_refused_and_removed(
    kind: str, trained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = ExportedClassifier.forward

    def blue_first(self: ExportedClassifier, images: Tensor) -> Tensor:
        return right(self, images.flip(3))

    monkeypatch.setattr(ExportedClassifier, "forward", blue_first)
    status, printed = run_and_read("export", "output=out", f"formats=[{kind}]")
    assert status == 1
    assert (
        f"{kind} does not agree with the network, so nothing was exported: on 22 images" in printed
    )
    assert re.search(r"up to \S+ off", printed)
    assert not Path("out").exists()  # it was made for this


def test_a_refused_format_leaves_an_earlier_export_as_it_was(
    trained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_and_read("export", QUICK)[0] == 0
    before = {file: file.read_bytes() for file in trained.export.iterdir()}

    def broken(self: ExportedClassifier, images: Tensor) -> Tensor:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(ExportedClassifier, "forward", broken)
    status, printed = run_and_read("export", "formats=[torch,onnx]")
    assert status == 1
    assert "RuntimeError: no such operator. Without it: formats=[onnx]" in printed
    assert {file: file.read_bytes() for file in trained.export.iterdir()} == before


def test_a_checkpoint_without_its_run_needs_images_and_says_so(
    trained: RunFolder,
) -> None:
    moved = Path("moved/fish.ckpt").absolute()
    moved.parent.mkdir()
    shutil.copy(trained.best_checkpoint, moved)
    status, printed = run_and_read("export", f"ckpt={moved}", QUICK)
    assert status == 1
    assert "by input=" in printed

    images = images_of(trained)
    one = next(images.rglob("*.jpg"))
    for named, count in ((one, 1), (images, 36), (f"{one.parent}/*.jpg", 12)):
        status, printed = run_and_read("export", f"ckpt={moved}", f"input={named}", QUICK)
        assert status == 0, printed
        assert f"{count} of {count}" in printed
    card = card_of(RunFolder(moved.parent))
    assert "this is not on record" in card
    assert "No sheet" in card


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["formats=[safetensors]"], "formats=[safetensors]: choose one of onnx, torch"),
        (["formats=[]"], "formats=[]: choose one of onnx, torch"),
        (["input=nowhere"], "input=nowhere: there is no such file or folder"),
        (["input=runs/first/checkpoints"], "checkpoints: no image found"),
        (["output=runs/first/config.yaml/x"], "config.yaml/x: not a directory; choose a folder"),
    ],
)
def test_a_mistake_is_answered_in_one_message(
    trained: RunFolder, arguments: list[str], words: str
) -> None:
    status, printed = run_and_read("export", *arguments)
    assert status == 1
    assert printed.startswith("error: ")
    assert words in printed
    assert not list(trained.export.glob("*"))


def test_images_that_are_gone_are_asked_for(trained: RunFolder) -> None:
    config = trained.config.read_text()
    trained.config.write_text(re.sub(r"root: .*images$", "root: /gone", config, flags=re.M))
    status, printed = run_and_read("export", QUICK)
    assert status == 1
    assert "data.root=/gone" in printed
    assert "add input=/path/to/images" in printed
