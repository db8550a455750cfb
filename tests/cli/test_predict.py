"""scripts/predict.py as a person runs it, on a network that was trained for a moment."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from running import run_script

from fishcnn.commands.predict.prediction_rows import Row
from fishcnn.commands.predict.prediction_stream import Predictor
from fishcnn.models.classifier import FishClassifier

SCRIPTS = Path(__file__).parents[2] / "scripts"

pytestmark = [
    # Lightning turns its own warnings into output.
    pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning"),
]


@dataclass(frozen=True)
class Finished:
    """A script that has ended."""

    status: int
    out: str
    err: str


Predict = Callable[..., Finished]


@pytest.fixture(scope="module")
def home(fish: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``photos/`` and, below ``runs/``, a run that was trained on them."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(fish / "pictures", home / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        settings = ["data=folder", "data.root=photos", "data.image_size=32", "data.batch_size=8"]
        settings += ["model.blocks=2", "model.hidden=16", "trainer.max_epochs=2"]
        settings += ["trainer.accelerator=cpu", "callbacks.grad_cam.enabled=false", "logger=none"]
        assert run_script("train", *settings) == 0
    return home


@pytest.fixture
def run(home: Path) -> Iterator[Path]:
    """The run folder, without predictions."""
    (config,) = home.glob("runs/*/*/config.yaml")
    yield config.parent
    for file in config.parent.glob("predictions.*"):
        file.unlink()


@pytest.fixture
def predict(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Predict:
    """Run ``scripts/predict.py`` in this process, standing beside ``photos/`` and ``runs/``."""
    monkeypatch.chdir(home)

    def run(*arguments: str) -> Finished:
        capfd.readouterr()
        status = run_script("predict", *arguments)
        return Finished(status, *capfd.readouterr())

    return run


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def pictures(home: Path) -> list[str]:
    return sorted(path.relative_to(home).as_posix() for path in home.glob("photos/*/*.jpg"))


def test_without_arguments_the_validation_pictures_of_the_latest_run_are_classified(
    predict: Predict, home: Path, run: Path
) -> None:
    before = sorted(path.name for path in home.iterdir())
    finished = predict()
    assert finished.status == 0, finished.err
    written = rows(run / "predictions.csv")
    held_out = json.loads((run / "split.json").read_text())["val"]
    assert [row["path"] for row in written] == [str(home / "photos" / path) for path in held_out]
    classifier = FishClassifier.load_from_checkpoint(
        run / "checkpoints" / "best.ckpt", weights_only=True, map_location="cpu"
    )
    for row, expected in zip(
        written, classifier.predict([row["path"] for row in written]), strict=True
    ):
        assert row["class"] == row["top1_class"] == expected.label
        assert row["error"] == ""
        listed = {row[f"top{k}_class"]: float(row[f"top{k}_probability"]) for k in (1, 2, 3)}
        assert list(listed) == list(expected.probabilities)
        assert listed == pytest.approx(expected.probabilities, abs=2e-6)
        assert row["probability"] == row["top1_probability"]
    # What the run's own validation has counted.
    true = [Path(path).parts[0] for path in held_out]
    hits = sum(row["class"] == label for row, label in zip(written, true, strict=True))
    summary = json.loads((run / "summary.json").read_text())
    assert summary["val_acc"] == pytest.approx(hits / len(true))
    assert f"predictions: {run / 'predictions.csv'}" in finished.out
    assert f"checkpoint: {run / 'checkpoints' / 'best.ckpt'}" in finished.out
    assert "images/s" in finished.out
    # Nothing else is left behind, by Hydra or by us.
    assert sorted(path.name for path in home.iterdir()) == before
    assert [path.name for path in run.glob("predictions.*")] == ["predictions.csv"]


def test_any_folder_is_as_good_to_stand_in(
    predict: Predict, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert predict().status == 0
    first = (run / "predictions.csv").read_bytes()
    monkeypatch.chdir(tmp_path)
    for ckpt in (run, run / "checkpoints" / "best.ckpt"):
        (run / "predictions.csv").unlink()
        finished = predict(f"ckpt={ckpt}")
        assert finished.status == 0, finished.err
        assert (run / "predictions.csv").read_bytes() == first
    assert list(tmp_path.iterdir()) == []


def test_results_do_not_depend_on_the_batch_size_nor_on_the_workers(
    predict: Predict, home: Path, tmp_path: Path
) -> None:
    files = {}
    for batch_size, workers in ((1, 2), (7, 1), (7, 3), (64, 1)):
        file = files[batch_size, workers] = tmp_path / f"{batch_size}-{workers}.csv"
        settings = [f"batch_size={batch_size}", f"workers={workers}", f"output={file}"]
        assert predict("input=photos", *settings).status == 0
    first = files[1, 2].read_bytes()
    assert len(rows(files[1, 2])) == 36
    assert files[7, 1].read_bytes() == first
    assert files[7, 3].read_bytes() == first
    # Other kernels may round the last digit otherwise.
    for row, other in zip(rows(files[1, 2]), rows(files[64, 1]), strict=True):
        assert row["class"] == other["class"]
        assert float(row["probability"]) == pytest.approx(float(other["probability"]), abs=2e-6)


def test_folder_glob_file_and_standard_input_name_the_same_pictures(
    predict: Predict, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.csv"

    def predicted(typed: str) -> list[dict[str, str]]:
        finished = predict(f"input={typed}", f"output={output}")
        assert finished.status == 0, finished.err
        return rows(output)

    paths = pictures(home)
    folder = predicted("photos")
    assert [row["path"] for row in folder] == paths
    assert predicted("photos/**/*.jpg") == folder
    assert predicted(paths[5]) == [folder[5]]
    lines = "".join(f"{path}\n" for path in reversed(paths)).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert predicted("-") == folder[::-1]


@pytest.mark.parametrize(
    "name", ["a b", "a,b", "a=b", "[1]", "it's", "a(1){2}", "grüße", "$x", "b\udcffd", "x\ny"]
)
def test_a_path_needs_no_quotes_for_hydra(
    predict: Predict, home: Path, tmp_path: Path, name: str
) -> None:
    picture = tmp_path / f"{name}.jpg"
    shutil.copy(home / pictures(home)[0], picture)
    output = tmp_path / f"out {name}.jsonl"
    finished = predict(f"input={picture}", f"output={output}")
    assert finished.status == 0, finished.err
    (row,) = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    assert row["path"] == str(picture)
    assert row["error"] is None
    assert os.path.exists(row["path"])


def test_both_formats_say_the_same(predict: Predict, tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl"):
        assert predict("input=photos", f"output={tmp_path / name}", "top_k=2").status == 0
    lines = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    for row, line in zip(rows(tmp_path / "a.csv"), lines, strict=True):
        same = json.loads(line)
        assert same["path"] == row["path"]
        assert same["class"] == row["class"]
        assert f"{same['probability']:.6f}" == row["probability"]
        assert [top["class"] for top in same["top"]] == [row["top1_class"], row["top2_class"]]
        assert "top3_class" not in row
    named = [f"output={tmp_path / 'b.txt'}", "format=jsonl"]
    assert predict("input=photos", *named, "top_k=2").status == 0
    assert (tmp_path / "b.txt").read_bytes() == (tmp_path / "a.jsonl").read_bytes()


def test_below_the_threshold_a_picture_is_unknown_and_its_best_classes_are_still_listed(
    predict: Predict, tmp_path: Path
) -> None:
    known, unknown = tmp_path / "known.csv", tmp_path / "unknown.csv"
    assert predict("input=photos", f"output={known}").status == 0
    threshold = sorted(float(row["probability"]) for row in rows(known))[9]
    finished = predict("input=photos", f"output={unknown}", f"threshold={threshold}")
    assert f"unknown, below {threshold:g}" in finished.out
    labels = []
    for row, other in zip(rows(known), rows(unknown), strict=True):
        below = float(row["probability"]) < threshold
        assert other == {**row, "class": "unknown" if below else row["class"]}
        labels.append(other["class"])
    assert 1 <= labels.count("unknown") <= 9


def test_what_cannot_be_read_becomes_a_row_with_the_reason(
    predict: Predict, home: Path, tmp_path: Path
) -> None:
    good = (home / pictures(home)[0]).read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(good)
    (tmp_path / "in" / "b.jpg").write_bytes(good[: len(good) // 2])
    (tmp_path / "in" / "c.jpg").write_bytes(b"")
    (tmp_path / "in" / "d.png").write_bytes(b"hello")
    (tmp_path / "in" / "e.jpg").write_bytes(good)
    output = tmp_path / "out.csv"
    command = [f"input={tmp_path / 'in'}", f"output={output}"]
    finished = predict(*command)
    assert finished.status == 0, finished.err
    assert "cannot be read  3" in finished.out
    a, b, c, d, e = rows(output)
    assert {**a, "path": ""} == {**e, "path": ""}
    assert [row["error"] for row in (b, c, d)] == [
        "truncated",
        "empty file",
        "not an image in any known format",
    ]
    assert b["class"] == b["probability"] == b["top1_class"] == ""
    # The row is there before anyone complains.
    for name in ("a.jpg", "e.jpg"):
        (tmp_path / "in" / name).write_bytes(b"")
    finished = predict(*command)
    assert finished.status == 1
    assert "none of the 5 pictures can be read" in finished.err
    assert [row["error"] == "" for row in rows(output)] == [False] * 5


def interrupt_after(batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C when so many batches have been computed; the next prediction runs through."""
    whole = Predictor.rows
    begun = 0

    def interrupted(self: Predictor, paths: list[str]) -> list[Row]:
        nonlocal begun
        begun += 1
        if begun == batches + 1:
            monkeypatch.setattr(Predictor, "rows", whole)
            raise KeyboardInterrupt
        return whole(self, paths)

    monkeypatch.setattr(Predictor, "rows", interrupted)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_after_ctrl_c_it_goes_on_where_it_was_and_the_file_is_the_very_same(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    command = ["input=photos", "batch_size=5", "workers=1"]
    assert predict(*command, f"output={tmp_path}/whole.{suffix}").status == 0
    output = tmp_path / f"parts.{suffix}"
    part = tmp_path / f"parts.{suffix}.part"
    command.append(f"output={output}")
    interrupt_after(3, monkeypatch)
    finished = predict(*command, "resume=true")
    assert finished.status == 130
    assert "interrupted after 15 pictures: go on by adding resume=true" in finished.err
    assert "Traceback" not in finished.err
    assert not output.exists()
    # A kill leaves batches half written, and rows.
    written = part.read_bytes()
    whole_file = (tmp_path / f"whole.{suffix}").read_bytes()
    assert whole_file.startswith(written)
    two_and_a_half = b"".join(whole_file[len(written) :].splitlines(keepends=True)[:3])[:-30]
    part.write_bytes(written + two_and_a_half)
    done: list[str] = []
    whole = Predictor.rows
    monkeypatch.setattr(
        Predictor, "rows", lambda self, paths: (done.extend(paths), whole(self, paths))[1]
    )
    finished = predict(*command, "resume=true")
    assert finished.status == 0, finished.err
    assert "15 of them before the interruption" in finished.out
    assert len(done) == 21
    assert output.read_bytes() == whole_file
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name, f"whole.{suffix}"]


def test_after_a_kill_it_goes_on_where_it_was_and_the_file_is_the_very_same(
    predict: Predict, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "".join(f"{path}\n" for path in pictures(home)).encode()
    half = b"".join(names.splitlines(keepends=True)[:20])
    settings = ["input=-", "batch_size=2", "workers=1"]
    output, part = tmp_path / "parts.csv", tmp_path / "parts.csv.part"
    command = [sys.executable, SCRIPTS / "predict.py", *settings, f"output={output}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=home) as process:
        assert process.stdin is not None
        process.stdin.write(half)
        process.stdin.flush()  # and the rest never comes
        deadline = time.monotonic() + 120
        while not part.exists() or part.read_bytes().count(b"\n") < 10:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    assert not output.exists()
    for name, resume in (("parts.csv", "true"), ("whole.csv", "false")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(names)))
        finished = predict(*settings, f"resume={resume}", f"output={tmp_path / name}")
        assert finished.status == 0, finished.err
        assert ("before the interruption" in finished.out) == (resume == "true")
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_an_unfinished_prediction_is_neither_thrown_away_nor_mixed_with_another(
    predict: Predict, home: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "photos", tmp_path / "photos")
    command = [f"input={tmp_path / 'photos'}", "batch_size=5", "workers=1"]
    command.append(f"output={tmp_path / 'out.csv'}")
    part = tmp_path / "out.csv.part"
    interrupt_after(3, monkeypatch)
    assert predict(*command).status == 130
    kept = part.read_bytes()

    def refused(*arguments: str) -> str:
        finished = predict(*command, *arguments)
        assert finished.status == 1
        assert part.read_bytes() == kept
        return finished.err

    assert f"{part} is an unfinished prediction: go on with it by resume=true" in refused()
    assert "begun with threshold=0.0, now it is threshold=0.5" in refused(
        "resume=true", "threshold=0.5"
    )
    assert "begun with top_k=3, now it is top_k=1" in refused("resume=true", "top_k=1")
    other = tmp_path / "other.ckpt"
    content = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    content["state_dict"]["temperature"] *= 2
    torch.save(content, other)
    assert "begun with ckpt=" in refused("resume=true", f"ckpt={other}")
    first = min((tmp_path / "photos").rglob("*.jpg"))
    first.rename(first.with_name("zzz.jpg"))
    assert f"input= has changed: picture 1 was {first} and now it is" in refused("resume=true")
    first.with_name("zzz.jpg").rename(first)
    # Neither of these changes a result.
    assert predict(*command, "resume=true", "batch_size=4", "workers=2").status == 0
    assert len(rows(tmp_path / "out.csv")) == 36


def test_resume_begins_where_there_is_nothing_to_go_on_with(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["input=photos", f"output={tmp_path / 'new' / 'out.csv'}", "resume=true"]
    interrupt_after(0, monkeypatch)
    finished = predict(*command)
    assert finished.status == 130
    assert "interrupted before the first picture was done" in finished.err
    assert list((tmp_path / "new").iterdir()) == []
    for _ in range(2):
        assert predict(*command).status == 0
        assert len(rows(tmp_path / "new" / "out.csv")) == 36


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["ckpt=nowhere"], "ckpt=nowhere: wanted a checkpoint file, or a run folder"),
        (["input=nowhere"], "input=nowhere: there is no such file or folder in /"),
        (["input=nowhere/*"], "input=nowhere/*: there is no picture"),
        (["input=runs/*/*/checkpoints"], "input=runs/*/*/checkpoints: there is no picture"),
        (["input=-"], "input=-: there is no picture"),
        (["output=photos"], "output=photos is a folder"),
        (["output=photo.jpg"], "output=photo.jpg: wanted a name that ends in .csv or .jsonl"),
        (["output=/proc/out.csv"], "output=/proc/out.csv cannot be written"),
        (["format=xml"], "format=xml: there is csv, jsonl"),
        (["threshold=2"], "threshold=2: wanted a number from 0 to 1"),
        (["threshold=abc"], "threshold=abc: wanted a number from 0 to 1"),
        (["top_k=0"], "top_k=0: wanted a whole number, 1 or more"),
        (["batch_size=0"], "batch_size=0: wanted a whole number, 1 or more"),
        (["workers=1.5"], "workers=1.5: wanted a whole number, 1 or more"),
        (["resume=yes please"], "resume=yes please: wanted true or false"),
    ],
)
def test_a_mistake_is_answered_in_one_message_without_a_traceback(
    predict: Predict,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    part: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    finished = predict(*arguments)
    assert finished.status == 1
    assert finished.err.startswith(f"error: {part}")
    assert "Traceback" not in finished.err
    assert list(run.glob("predictions.*")) == []


def test_a_network_that_has_diverged_is_no_answer(
    predict: Predict, run: Path, tmp_path: Path
) -> None:
    content: dict[str, Any] = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    content["state_dict"]["temperature"] *= float("nan")
    torch.save(content, tmp_path / "nan.ckpt")
    output = tmp_path / "out.csv"
    finished = predict(f"ckpt={tmp_path / 'nan.ckpt'}", "input=photos", f"output={output}")
    assert finished.status == 1
    assert "the network answers with NaN" in finished.err
    assert [path.name for path in tmp_path.iterdir()] == ["nan.ckpt"]


def test_help_answers_without_torch(tmp_path: Path) -> None:
    program = (
        "import runpy, sys\n"
        f"sys.argv = [{str(SCRIPTS / 'predict.py')!r}, sys.argv[1]]\n"
        "try:\n"
        f"    runpy.run_path({str(SCRIPTS / 'predict.py')!r}, run_name='__main__')\n"
        "finally:\n"
        "    print(sorted({'torch', 'numpy', 'PIL', 'rich'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", program, "--help"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "python scripts/predict.py 'input=my photos/**/*.jpg'" in printed.stdout
    assert "top_k: 3" in printed.stdout
    assert printed.stdout.splitlines()[-1] == "[]"
