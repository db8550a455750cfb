"""scripts/predict.py as a person runs it, on the trained run."""

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from running import SCRIPTS, images_of, network_of, run_and_read, table

from fishcnn.commands.predict.prediction_rows import Row
from fishcnn.commands.predict.prediction_stream import Predictor
from fishcnn.utils.run_folder import RunFolder

pytestmark = [
    # Lightning turns its own warnings into output.
    pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning"),
]


@pytest.fixture
def photos(trained: RunFolder) -> list[str]:
    """Paths of the 36 images in ``photos/``, beside ``runs/``."""
    shutil.copytree(images_of(trained), "photos")
    return sorted(path.as_posix() for path in Path("photos").glob("*/*.jpg"))


def predict(*arguments: str) -> str:
    """Run it; return what it printed."""
    status, printed = run_and_read("predict", *arguments)
    assert status == 0, printed
    return printed


def test_without_arguments_the_validation_images_of_the_latest_run_are_classified(
    trained: RunFolder,
) -> None:
    printed = predict()
    written = table(trained.predictions("csv"))
    held_out = json.loads(trained.split.read_text())["val"]
    assert [row["path"] for row in written] == [str(images_of(trained) / p) for p in held_out]
    predictions = network_of(trained).predict([row["path"] for row in written])
    for row, expected in zip(written, predictions, strict=True):
        assert row["class"] == row["top1_class"] == expected.label
        assert row["error"] == ""
        listed = {row[f"top{k}_class"]: float(row[f"top{k}_probability"]) for k in (1, 2, 3)}
        assert list(listed) == list(expected.probabilities)
        assert listed == pytest.approx(expected.probabilities, abs=2e-6)
        assert row["probability"] == row["top1_probability"]
    # What the run's own validation has counted.
    true = [Path(path).parts[0] for path in held_out]
    hits = sum(row["class"] == label for row, label in zip(written, true, strict=True))
    summary = json.loads(trained.summary.read_text())
    assert summary["val_acc"] == pytest.approx(hits / len(true))
    assert f"predictions: {trained.predictions('csv')}" in printed
    assert f"checkpoint: {trained.best_checkpoint}" in printed
    assert "images/s" in printed
    # Nothing else is left behind, by Hydra or by us.
    assert [path.name for path in Path.cwd().iterdir()] == ["runs"]
    assert [path.name for path in trained.path.glob("predictions.*")] == ["predictions.csv"]


def test_any_folder_is_as_good_to_stand_in(
    trained: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict()
    output = trained.predictions("csv")
    first = output.read_bytes()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for ckpt in (trained.path, trained.best_checkpoint):
        output.unlink()
        predict(f"ckpt={ckpt}")
        assert output.read_bytes() == first
    assert list(Path.cwd().iterdir()) == []


def test_results_do_not_depend_on_the_batch_size_nor_on_the_workers(
    photos: list[str], tmp_path: Path
) -> None:
    files = {}
    for batch_size, workers in ((1, 2), (7, 1), (7, 3), (64, 1)):
        file = files[batch_size, workers] = tmp_path / f"{batch_size}-{workers}.csv"
        settings = [f"batch_size={batch_size}", f"workers={workers}", f"output={file}"]
        predict("input=photos", *settings)
    first = files[1, 2].read_bytes()
    assert len(table(files[1, 2])) == 36
    assert files[7, 1].read_bytes() == first
    assert files[7, 3].read_bytes() == first
    # Other kernels may round the last digit otherwise.
    for row, other in zip(table(files[1, 2]), table(files[64, 1]), strict=True):
        assert row["class"] == other["class"]
        assert float(row["probability"]) == pytest.approx(float(other["probability"]), abs=2e-6)


def test_folder_glob_file_and_standard_input_name_the_same_images(
    photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.csv"

    def predicted(typed: str) -> list[dict[str, str]]:
        predict(f"input={typed}", f"output={output}")
        return table(output)

    folder = predicted("photos")
    assert [row["path"] for row in folder] == photos
    assert predicted("photos/**/*.jpg") == folder
    assert predicted(photos[5]) == [folder[5]]
    lines = "".join(f"{path}\n" for path in reversed(photos)).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert predicted("-") == folder[::-1]


@pytest.mark.parametrize(
    "name", ["a b", "a,b", "a=b", "[1]", "it's", "a(1){2}", "grüße", "$x", "b\udcffd", "x\ny"]
)
def test_a_path_needs_no_quotes_for_hydra(trained: RunFolder, tmp_path: Path, name: str) -> None:
    image = tmp_path / f"{name}.jpg"
    shutil.copy(next(images_of(trained).rglob("*.jpg")), image)
    output = tmp_path / f"out {name}.jsonl"
    predict(f"input={image}", f"output={output}")
    (row,) = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    assert row["path"] == str(image)
    assert row["error"] is None
    assert os.path.exists(row["path"])


def test_both_formats_say_the_same(photos: list[str], tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl"):
        predict("input=photos", f"output={tmp_path / name}", "top_k=2")
    lines = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    for row, line in zip(table(tmp_path / "a.csv"), lines, strict=True):
        same = json.loads(line)
        assert same["path"] == row["path"]
        assert same["class"] == row["class"]
        assert f"{same['probability']:.6f}" == row["probability"]
        assert [top["class"] for top in same["top"]] == [row["top1_class"], row["top2_class"]]
        assert "top3_class" not in row
    named = [f"output={tmp_path / 'b.txt'}", "format=jsonl"]
    predict("input=photos", *named, "top_k=2")
    assert (tmp_path / "b.txt").read_bytes() == (tmp_path / "a.jsonl").read_bytes()


def test_below_the_threshold_an_image_is_unknown_and_its_best_classes_are_still_listed(
    photos: list[str], tmp_path: Path
) -> None:
    known, unknown = tmp_path / "known.csv", tmp_path / "unknown.csv"
    predict("input=photos", f"output={known}")
    threshold = sorted(float(row["probability"]) for row in table(known))[9]
    printed = predict("input=photos", f"output={unknown}", f"threshold={threshold}")
    assert f"unknown, below {threshold:g}" in printed
    labels = []
    for row, other in zip(table(known), table(unknown), strict=True):
        below = float(row["probability"]) < threshold
        assert other == {**row, "class": "unknown" if below else row["class"]}
        labels.append(other["class"])
    assert 1 <= labels.count("unknown") <= 9


def test_images_of_one_colour_are_told_apart(trained: RunFolder, photos: list[str]) -> None:
    noise = np.random.default_rng(0).integers(96, 101, (60, 80, 3), np.uint8)
    Image.fromarray(noise).save("photos/lens_cap.jpg")
    Image.new("RGB", (80, 60), "white").save("photos/z_white.png")
    printed = " ".join(predict("input=photos", "output=all.csv").split())
    assert "of one colour 2, such as lens_cap.jpg: their class means nothing" in printed
    rows = {row["path"]: row for row in table(Path("all.csv"))}
    assert rows["photos/z_white.png"]["class"]
    assert "of one colour" not in predict(f"input={photos[0]}", "output=one.csv")


def test_what_cannot_be_read_becomes_a_row_with_the_reason(
    trained: RunFolder, tmp_path: Path
) -> None:
    good = next(images_of(trained).rglob("*.jpg")).read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(good)
    (tmp_path / "in" / "b.jpg").write_bytes(good[: len(good) // 2])
    (tmp_path / "in" / "c.jpg").write_bytes(b"")
    (tmp_path / "in" / "d.png").write_bytes(b"hello")
    (tmp_path / "in" / "e.jpg").write_bytes(good)
    output = tmp_path / "out.csv"
    command = [f"input={tmp_path / 'in'}", f"output={output}"]
    assert "cannot be read  3" in predict(*command)
    a, b, c, d, e = table(output)
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
    status, printed = run_and_read("predict", *command)
    assert status == 1
    assert "no image can be read" in printed
    assert [row["error"] == "" for row in table(output)] == [False] * 5


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
    photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    folder = tmp_path / "out"
    command = ["input=photos", "batch_size=5", "workers=1"]
    predict(*command, f"output={folder}/whole.{suffix}")
    output = folder / f"parts.{suffix}"
    part = folder / f"parts.{suffix}.part"
    command.append(f"output={output}")
    interrupt_after(3, monkeypatch)
    status, printed = run_and_read("predict", *command, "resume=false")
    assert status == 130
    (line,) = (line for line in printed.splitlines() if line.startswith("interrupted after 15 "))
    assert shlex.split(line.partition("; to go on: ")[2])[2:] == [*command, "resume=true"]
    assert "Traceback" not in printed
    assert not output.exists()
    # A kill leaves batches half written, and rows.
    written = part.read_bytes()
    whole_file = (folder / f"whole.{suffix}").read_bytes()
    assert whole_file.startswith(written)
    two_and_a_half = b"".join(whole_file[len(written) :].splitlines(keepends=True)[:3])[:-30]
    part.write_bytes(written + two_and_a_half)
    done: list[str] = []
    whole = Predictor.rows
    monkeypatch.setattr(
        Predictor, "rows", lambda self, paths: (done.extend(paths), whole(self, paths))[1]
    )
    assert "15 of them before the interruption" in predict(*command, "resume=true")
    assert len(done) == 21
    assert output.read_bytes() == whole_file
    assert sorted(path.name for path in folder.iterdir()) == [output.name, f"whole.{suffix}"]


def test_after_a_kill_it_goes_on_where_it_was_and_the_file_is_the_very_same(
    photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "".join(f"{path}\n" for path in photos).encode()
    half = b"".join(names.splitlines(keepends=True)[:20])
    settings = ["input=-", "batch_size=2", "workers=1"]
    output, part = tmp_path / "parts.csv", tmp_path / "parts.csv.part"
    command = [sys.executable, SCRIPTS / "predict.py", *settings, f"output={output}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
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
        printed = predict(*settings, f"resume={resume}", f"output={tmp_path / name}")
        assert ("before the interruption" in printed) == (resume == "true")
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_an_unfinished_prediction_is_neither_thrown_away_nor_mixed_with_another(
    trained: RunFolder, photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = tmp_path / "out.csv.part"
    command = ["input=photos", "batch_size=5", "workers=1", f"output={tmp_path / 'out.csv'}"]
    interrupt_after(2, monkeypatch)
    assert run_and_read("predict", *command)[0] == 130
    kept = part.read_bytes()

    def refused(*arguments: str) -> str:
        status, printed = run_and_read("predict", *command, *arguments)
        assert status == 1
        assert part.read_bytes() == kept
        return printed

    assert f"{part} is an unfinished prediction: go on with it by resume=true" in refused()
    assert "begun with threshold=0.0, not threshold=0.5" in refused("resume=true", "threshold=0.5")
    assert "begun with top_k=3, not top_k=1" in refused("resume=true", "top_k=1")
    other = tmp_path / "other.ckpt"
    content = torch.load(trained.best_checkpoint, weights_only=True)
    content["state_dict"]["temperature"] *= 2
    torch.save(content, other)
    assert "begun with ckpt=" in refused("resume=true", f"ckpt={other}")
    first = Path(photos[0])
    first.rename(first.with_name("zzz.jpg"))
    assert f"input= has changed: image 1 was {first} and now is" in refused("resume=true")
    first.with_name("zzz.jpg").rename(first)
    # Neither of these changes a result.
    predict(*command, "resume=true", "batch_size=4", "workers=2")
    assert len(table(tmp_path / "out.csv")) == 36


def test_resume_begins_where_there_is_nothing_to_go_on_with(
    photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["input=photos", f"output={tmp_path / 'new' / 'out.csv'}", "resume=true"]
    interrupt_after(0, monkeypatch)
    status, printed = run_and_read("predict", *command)
    assert status == 130
    assert "interrupted before the first image was done" in printed
    assert not (tmp_path / "new").exists()
    for _ in range(2):
        predict(*command)
        assert len(table(tmp_path / "new" / "out.csv")) == 36


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["ckpt=nowhere"], "ckpt=nowhere: there is no such file or folder in /"),
        (["input=nowhere"], "input=nowhere: there is no such file or folder in /"),
        (["input=nowhere/*"], "input=nowhere/*: no image found"),
        (["input=runs/*/checkpoints"], "input=runs/*/checkpoints: no image found"),
        (["input=-"], "input=-: no image found"),
        (["output=photos"], "output=photos is a folder"),
        (["output=photo.jpg"], "output=photo.jpg: wanted a name that ends in .csv or .jsonl"),
        (["output=/proc/out.csv"], "cannot write /proc/out.csv: "),
        (["format=xml"], "format=xml: choose one of csv, jsonl"),
        (["threshold=2"], "threshold=2: must be a number from 0 to 1"),
        (["threshold=abc"], "threshold=abc: must be a number from 0 to 1"),
        (["top_k=0"], "top_k=0: must be a whole number, 1 or more"),
        (["batch_size=0"], "batch_size=0: must be a whole number from 1 to 65536"),
        (["workers=1.5"], "workers=1.5: must be a whole number from 1 to 1024"),
        (["resume=yes please"], "resume=yes please: must be true or false"),
    ],
)
def test_a_mistake_is_answered_in_one_message_without_a_traceback(
    trained: RunFolder, monkeypatch: pytest.MonkeyPatch, arguments: list[str], part: str
) -> None:
    Path("photos").mkdir()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    status, printed = run_and_read("predict", *arguments)
    assert status == 1
    assert printed.startswith(f"error: {part}")
    assert "Traceback" not in printed
    assert list(trained.path.glob("predictions.*")) == []


def test_a_network_that_has_diverged_is_no_answer(trained: RunFolder, photos: list[str]) -> None:
    content: dict[str, Any] = torch.load(trained.best_checkpoint, weights_only=True)
    content["state_dict"]["temperature"] *= float("nan")
    torch.save(content, "nan.ckpt")
    status, printed = run_and_read("predict", "ckpt=nan.ckpt", "input=photos", "output=out.csv")
    assert status == 1
    assert "holds weights that are not finite (temperature): its training has diverged" in printed
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["nan.ckpt", "photos", "runs"]


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
    predict = f"{sys.executable} {SCRIPTS / 'predict.py'}"
    assert f"  {predict} 'input=my photos/**/*.jpg'    a glob\n" in printed.stdout
    assert f"| {predict} input=- output=photos.jsonl" in printed.stdout
    assert "top_k: 3" in printed.stdout
    assert printed.stdout.splitlines()[-1] == "[]"


@pytest.mark.usefixtures("photos")
def test_at_the_end_it_is_said_which_images_these_were_and_what_was_replaced(
    trained: RunFolder,
) -> None:
    root, output = images_of(trained), trained.predictions("csv")
    held_out = len(json.loads(trained.split.read_text())["val"])
    of_run, here = f"the {held_out} validation images of the run, in ", Path("photos").absolute()
    for typed, images, written in (
        ([], f"{of_run}{root}", f"{output}"),
        (["data.root=photos"], f"{of_run}{here}", f"{output}, in place of an earlier file"),
        (["input=photos"], f"{here}", f"{output}, in place of an earlier file"),
        (["input=photos", "output=new.csv"], f"{here}", f"{here.parent / 'new.csv'}"),
    ):
        assert predict(*typed).splitlines()[-3:] == [
            f"images: {images}",
            f"checkpoint: {trained.best_checkpoint}",
            f"predictions: {written}",
        ]
