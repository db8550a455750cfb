"""Full and read-only disks, two at once, and targets that are no files: one error, nothing lost."""

import csv
import io
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from signal import SIGINT
from typing import Any

import pytest
from conftest import Command
from networks import small_classifier

from fishcnn.commands.export.exported_classifier import ExportedClassifier, metadata_of
from fishcnn.commands.export.formats import FORMATS
from fishcnn.commands.output_folder import all_or_nothing, output_folder
from fishcnn.commands.predict.partial_output import PartialOutput
from fishcnn.commands.predict.prediction_rows import CsvRows, Row
from fishcnn.data.rendering.synthetic import ensure_synthetic
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import write_bytes
from fishcnn.utils.lock import locked
from fishcnn.utils.run_folder import RunFolder

DRAWING = {
    "species": 2,
    "images_per_class": 2,
    "long_side": 48,
    "shortcut": 0.0,
    "seed": 0,
    "workers": 1,
}
FULL = r"the disk of .*disk.* is full \(\d+\.\d MB wanted, \d+\.\d MB free\)"


def fill(disk: Path, *, leave: int = 0) -> Path:
    """Take all of a disk but so many bytes."""
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - leave))
    return filler


def write(output: Path, sizes: dict[str, int]) -> None:
    with all_or_nothing(output) as folder:
        for name, size in sizes.items():
            write_bytes(folder / name, bytes(size))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", ["file", "device", "pipe", "link to nothing"])
def test_an_output_folder_that_is_something_else_is_refused(kind: str, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    if kind == "file":
        taken.touch()
    elif kind == "pipe":
        os.mkfifo(taken)
    else:
        taken.symlink_to("/dev/null" if kind == "device" else tmp_path / "gone")
    with pytest.raises(FishError, match=r"output=.*taken is not a folder: choose another one"):
        output_folder(str(taken), tmp_path).__enter__()


def test_an_output_folder_on_a_read_only_disk_is_named(read_only_disk: Path) -> None:
    for folder in (read_only_disk, read_only_disk / "new"):
        with pytest.raises(FishError, match=f"cannot write {folder}: read-only file system; .*by "):
            output_folder(str(folder), folder).__enter__()


def test_a_full_disk_leaves_what_was_there_and_says_what_is_wanted(small_disk: Path) -> None:
    with output_folder(str(small_disk / "out"), small_disk) as output:
        (output / "page.html").write_text("old")
        fill(small_disk, leave=300_000)
        with pytest.raises(FishError, match=r"is full \(0\.4 MB wanted, 0\.3 MB free\)"):
            write(output, {"page.html": 3, "1.png": 200_000, "2.png": 200_000})
    assert names(output) == ["page.html"]
    assert (output / "page.html").read_text() == "old"


def test_what_a_killed_command_has_left_is_gone_and_earlier_files_are_replaced(
    tmp_path: Path,
) -> None:
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / ".unfinished" / "half.png").touch()
    (tmp_path / "earlier.png").touch()
    (tmp_path / "mine.txt").touch()
    with all_or_nothing(tmp_path, lambda: [tmp_path / "earlier.png"]) as folder:
        (folder / "pictures").mkdir()
        (folder / "pictures" / "1.png").touch()
    assert names(tmp_path) == ["mine.txt", "pictures"]
    assert names(tmp_path / "pictures") == ["1.png"]


def test_a_device_in_the_output_folder_is_not_replaced_and_nothing_moves(tmp_path: Path) -> None:
    (tmp_path / "b.md").symlink_to("/dev/null")
    with pytest.raises(FishError, match="not a regular file"):
        write(tmp_path, {"a.csv": 1, "b.md": 1})
    assert names(tmp_path) == ["b.md"]


@pytest.mark.parametrize("when", ["at once", "half-way"])
def test_a_drawing_on_a_full_disk_is_begun_again_when_there_is_room(
    when: str, small_disk: Path
) -> None:
    filler = fill(small_disk, leave=0 if when == "at once" else 20_000)
    with pytest.raises(FishError, match=r"the disk of .* is full"):
        ensure_synthetic(small_disk, **DRAWING)
    assert names(small_disk) == ["filler"]
    filler.unlink()
    made = ensure_synthetic(small_disk, **DRAWING)
    assert len(list(made.rglob("*.jpg"))) == len(list(made.rglob("*.png"))) == 4


def test_a_drawing_on_a_read_only_disk_is_refused(read_only_disk: Path) -> None:
    with pytest.raises(FishError, match=r"cannot write .*: read-only file system"):
        ensure_synthetic(read_only_disk, **DRAWING)


def test_an_export_to_a_full_disk_ends_in_an_error_and_not_the_process(small_disk: Path) -> None:
    classifier = small_classifier(["Koi", "Rui"])
    fill(small_disk)
    with pytest.raises(FishError, match=FULL):
        FORMATS["torch"].write(
            ExportedClassifier(classifier), metadata_of(classifier), small_disk / "model.pt2"
        )
    assert names(small_disk) == ["filler"]


@pytest.mark.parametrize(
    ("command", "settings"),
    [("evaluate", []), ("explain", ["trust=false", "pictures=2"]), ("predict", [])],
)
def test_a_command_on_a_full_disk_says_so_and_leaves_nothing(
    command: str, settings: list[str], trained: RunFolder, small_disk: Path, script: Command
) -> None:
    output = small_disk / "out"
    output.mkdir()
    fill(small_disk)
    target = output / "rows.csv" if command == "predict" else output
    ended = script(command, f"ckpt={trained.path}", f"output={target}", *settings)
    assert ended.status == 1
    assert "Traceback" not in ended.err
    assert f"error: cannot write {output}" in ended.err
    assert "0.0 MB free" in ended.err
    assert names(output) == []


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        ("evaluate", []),
        ("explain", []),
        ("export", []),
        ("inspect_data", ["data=folder", "data.image_size=16"]),
        ("predict", []),
        ("predict", ["resume=true"]),
    ],
)
def test_of_two_at_once_the_second_is_told_who_is_first(
    command: str,
    settings: list[str],
    trained: RunFolder,
    fish: Path,
    tmp_path: Path,
    script: Command,
) -> None:
    output = tmp_path / "rows.csv" if command == "predict" else tmp_path / "out"
    if command != "predict":
        output.mkdir()
    source = f"data.root={fish / 'pictures'}"
    if command != "inspect_data":
        source = f"ckpt={trained.path}"
    with locked(output):
        ended = script(command, source, f"output={output}", *settings)
    assert ended.status == 1
    assert f"error: {output} is being written to by process {os.getpid()} on " in ended.err
    assert not output.exists() if command == "predict" else names(output) == []


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("device", "rows.csv is not a regular file and is not replaced: name another file, or - "),
        ("pipe", "rows.csv is not a regular file and is not replaced"),
        ("folder", "rows.csv is a folder: name a file in it"),
        ("part", "rows.csv.part is not a regular file"),
    ],
)
def test_a_prediction_replaces_files_alone(
    kind: str, said: str, trained: RunFolder, tmp_path: Path, script: Command
) -> None:
    output = tmp_path / "rows.csv"
    if kind == "device":
        output.symlink_to("/dev/null")
    elif kind == "folder":
        output.mkdir()
    else:
        os.mkfifo(output if kind == "pipe" else tmp_path / "rows.csv.part")
    ended = script("predict", f"ckpt={trained.path}", f"output={output}")
    assert ended.status == 1
    assert said in ended.err
    assert not [name for name in names(tmp_path) if name.startswith(".lock")]


def test_a_link_stays_and_its_target_is_written(
    trained: RunFolder, tmp_path: Path, script: Command
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "rows.csv").symlink_to("there/other.csv")
    ended = script("predict", f"ckpt={trained.path}", f"output={tmp_path / 'rows.csv'}")
    assert ended.status == 0, ended.err
    assert (tmp_path / "rows.csv").is_symlink()
    assert names(tmp_path / "there") == ["other.csv"]


@pytest.mark.parametrize("typed", ["-", "/dev/stdout", "/proc/self/fd/1"])
def test_rows_are_streamed_and_nothing_else(
    typed: str, trained: RunFolder, script: Command
) -> None:
    ended = script("predict", f"ckpt={trained.path}", f"output={typed}")
    assert ended.status == 0, ended.err
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert len(rows) == 22
    assert all(row["class"] for row in rows)
    assert "predictions: standard output" in ended.err


@pytest.mark.parametrize("typed", ["/dev/stderr", "/dev/fd/2"])
def test_other_streams_are_refused(typed: str, trained: RunFolder, script: Command) -> None:
    ended = script("predict", f"ckpt={trained.path}", f"output={typed}", "format=csv")
    assert ended.status == 1
    assert "- for standard output" in ended.err


def test_a_stream_is_not_resumed(trained: RunFolder, script: Command) -> None:
    ended = script("predict", f"ckpt={trained.path}", "output=-", "resume=true")
    assert ended.status == 1
    assert ended.out == ""
    assert "output=-: a stream cannot be resumed" in ended.err


def test_a_stream_that_nobody_reads_ends_quietly(
    trained: RunFolder, script: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        ended = script("predict", f"ckpt={trained.path}", "output=-")
    assert (ended.status, ended.err) == (141, "")


@pytest.mark.parametrize("moment", ["_part", "_begun"])
def test_a_stop_before_the_first_image_leaves_nothing_that_refuses_the_next_start(
    trained: RunFolder, script: Command, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with monkeypatch.context() as patch:
        if moment == "_part":
            whole = PartialOutput.open

            def stopped(self: PartialOutput, *arguments: Any, **settings: Any) -> None:
                whole(self, *arguments, **settings)
                raise KeyboardInterrupt

            patch.setattr(PartialOutput, "open", stopped)
        else:
            patch.setattr(CsvRows, "header", lambda _: os.kill(os.getpid(), SIGINT))
        assert script("predict", f"ckpt={trained.path}").status == 130
    assert not list(trained.path.glob("predictions.csv*"))
    assert script("predict", f"ckpt={trained.path}").status == 0


@pytest.mark.parametrize("typed", [[], ["resume=true"], ["resume=false"]])
def test_a_refused_prediction_leaves_an_unfinished_one_as_it_is(
    trained: RunFolder, script: Command, typed: list[str]
) -> None:
    part = trained.path / "predictions.csv.part"
    part.write_text("path,label\na.jpg,Koi\n")
    assert script("predict", f"ckpt={trained.path}", *typed).status == 1
    assert part.read_text() == "path,label\na.jpg,Koi\n"


def test_a_prediction_goes_on_where_a_full_disk_has_stopped_it(small_disk: Path) -> None:
    paths = [f"{number:05}-{'x' * 200}.jpg" for number in range(400)]
    rows = [Row(path, "Koi", (("Koi", 0.75),), None) for path in paths]
    output = small_disk / "rows.csv"
    filler = fill(small_disk, leave=40_000)

    def predict() -> Counter[str]:
        partial = PartialOutput(output, CsvRows(1), {"top_k": 1})
        left: Iterator[str] = iter(paths)
        partial.open(left, resume=True, batch_size=10)
        with partial:
            for start in range(partial.total, len(rows), 10):
                partial.write(rows[start : start + 10])
            partial.finish()
        return partial.labels

    with pytest.raises(FishError, match=r"images are done: then go on by adding resume=true"):
        predict()
    assert not output.exists()
    filler.unlink()
    assert predict() == {"Koi": 400}
    with output.open(encoding="utf-8", newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == paths


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    device = tmp_path / "null.csv"
    subprocess.run(["mknod", str(device), "c", "1", "3"], check=True)
    with pytest.raises(FishError, match="not a regular file"):
        PartialOutput(device, CsvRows(1), {})
    assert device.is_char_device()


@pytest.mark.parametrize(
    "typed",
    [
        ["inspect_data", "data=folder", "data.root=missing"],
        ["explain", "input=missing"],
        ["export", "input=missing"],
        ["evaluate", "data_root=missing"],
    ],
)
def test_the_output_folder_comes_before_the_images_and_goes_with_them(
    script: Command, trained: RunFolder, read_only_disk: Path, typed: list[str]
) -> None:
    finished = script(*typed, f"output={read_only_disk}/new")
    assert (finished.status, finished.err.count("\n")) == (1, 1)
    assert f"cannot write {read_only_disk}/new: read-only file system" in finished.err
    before = {*Path().rglob("*")}
    finished = script(*typed)
    assert (finished.status, finished.err.count("\n")) == (1, 1)
    assert "missing" in finished.err
    assert {*Path().rglob("*")} == before
    Path("mine").mkdir()
    assert script(*typed, "output=mine").status == 1
    assert names(Path("mine")) == []
