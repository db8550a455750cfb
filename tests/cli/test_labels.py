"""Wrong labels: looked for, corrected by a table, and kept with the run that was trained so."""

import csv
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fishcnn.utils.run_folder import RunFolder


def names(fish: Path) -> list[str]:
    return sorted(path.name for path in (fish / "pictures").iterdir())


def paths(fish: Path) -> list[str]:
    root = fish / "pictures"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.jpg"))


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as table:
        return list(csv.DictReader(table))


def write_table(file: Path, **classes: str) -> Path:
    lines = [f"{path},{name}" for path, name in classes.items()]
    file.write_text("\n".join(["path,class", *lines]) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def corrected(fish: Path, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A table that gives six images another class and drops two."""
    files, classes = paths(fish), names(fish)
    wanted = {path: classes[1] for path in files[:6]} | dict.fromkeys(files[12:14], "drop")
    return write_table(tmp_path / "corrected.csv", **wanted), wanted


@pytest.fixture
def run(train: Any, tiny: list[str], corrected: tuple[Path, dict[str, str]]) -> RunFolder:
    finished = train(*tiny, "data.labels=corrected.csv", "hydra.run.dir=runs/one")
    assert finished.status == 0, finished.err
    return RunFolder(Path("runs/one").absolute())


def test_a_run_keeps_what_was_corrected_and_its_evaluation_counts_by_that(
    run: RunFolder, script: Any, corrected: tuple[Path, dict[str, str]], fish: Path
) -> None:
    table, wanted = corrected
    assert {row["path"]: row["class"] for row in rows_of(run.labels)} == wanted
    split = json.loads(run.split.read_text())
    listed = {path for name in ("train", "val", "test") for path in split[name]}
    assert listed == set(paths(fish)) - {path for path, name in wanted.items() if name == "drop"}
    assert "Left out by data.labels: 2" in run.data_report.read_text()
    table.unlink()  # nobody needs it any more
    evaluated = script("evaluate", f"ckpt={run.path}")
    assert evaluated.status == 0, evaluated.err
    true = {row["path"]: row["true"] for row in rows_of(run.evaluation("val") / "predictions.csv")}
    assert len(true) == len(split["val"])
    for path, name in true.items():
        assert name == wanted.get(path, path.partition("/")[0])
    explained = script("explain", f"ckpt={run.path}", "trust=false", "pictures=2")
    assert explained.status == 0, explained.err


def test_a_run_does_not_go_on_with_another_table(
    run: RunFolder,
    train: Any,
    tiny: list[str],
    corrected: tuple[Path, dict[str, str]],
) -> None:
    table, wanted = corrected
    again = (*tiny, "data.labels=corrected.csv", "hydra.run.dir=runs/one")
    run.summary.unlink()  # as if it had been killed before its figures
    kept = table.read_text()
    table.write_text(kept.replace(",drop", ",").replace(",\n", f",{next(iter(wanted.values()))}\n"))
    refused = train(*again)
    assert refused.status == 1
    assert "data.labels=corrected.csv gives other classes than when the run" in refused.err
    table.write_text(kept.replace("\n", "\r\n").replace(",", ";"))  # the same, saved by Excel
    finished = train(*again)
    assert finished.status == 0, finished.err
    table.unlink()
    longer = train(f"ckpt_path={run.path}", "trainer.max_epochs=3", "hydra.run.dir=runs/two")
    assert longer.status == 0, longer.err
    assert RunFolder(Path("runs/two")).labels.read_text() == run.labels.read_text()
    typed = train(f"ckpt_path={run.path}", "trainer.max_epochs=3", "data.labels=other.csv")
    assert "data.labels=" in typed.err
    assert "may not differ" in typed.err


def test_a_finished_job_of_a_sweep_is_not_taken_for_one_with_another_table(
    train: Any, tiny: list[str], corrected: tuple[Path, dict[str, str]]
) -> None:
    table, _ = corrected
    sweep = ("-m", *tiny, "trainer.max_epochs=1", "data.labels=corrected.csv", "seed=0")
    sweep = (*sweep, "hydra.sweep.dir=runs/sweep")
    assert train(*sweep).status == 0
    done = train(*sweep)
    assert "is finished already" in done.out + done.err
    table.write_text(table.read_text().replace(",drop", ",").replace(",\n", f",{'drop'}\n", 1)[:-1])
    text = [line for line in table.read_text().splitlines() if not line.endswith(",")]
    table.write_text("\n".join(text) + "\n")
    refused = train(*sweep)
    assert refused.status == 1
    assert "gives other classes than when the run" in refused.err


def test_a_run_whose_table_is_gone_says_so(run: RunFolder, script: Any) -> None:
    run.labels.unlink()
    refused = script("evaluate", f"ckpt={run.path}")
    assert refused.status == 1
    assert "corrected_labels.csv is missing" in refused.err


def test_a_wrong_table_is_told_before_anything_is_decoded(
    train: Any, tiny: list[str], fish: Path, tmp_path: Path
) -> None:
    write_table(tmp_path / "corrected.csv", **{paths(fish)[0]: "Hilsa"})
    refused = train(*tiny, "data.labels=corrected.csv")
    assert refused.status == 1
    assert "data.labels=corrected.csv: line 2 has the class Hilsa" in refused.err
    assert not (tmp_path / "cache" / "decoded").exists()


def test_an_inspection_writes_a_table_a_sheet_and_words_and_keeps_what_was_corrected(
    script: Any, fish: Path, tmp_path: Path
) -> None:
    settings = (f"data.root={fish / 'pictures'}", "output=found", "data.image_size=64")
    script("inspect_data", *settings)
    files = {path.name for path in Path("found").iterdir()}
    assert not any(name.startswith("labels") for name in files)
    plain = json.loads(Path("found/report.json").read_text())
    assert "label_issues" not in plain
    # Six of one species in the folder of another.
    swapped = paths(fish)[:3] + paths(fish)[24:27]
    classes = names(fish)
    planted = {path: classes[1] for path in swapped}
    write_table(tmp_path / "planted.csv", **planted)

    done = script("inspect_data", *settings, "labels=true", "data.labels=planted.csv")
    assert done.status == 0, done.err
    table = Path("found/labels.csv").absolute()
    rows = rows_of(table)
    assert [*rows[0]][:5] == ["path", "class", "given_class", "likely_class", "confidence"]
    assert len(rows) == 36
    assert {row["path"] for row in rows if row["class"] == classes[1]} >= set(swapped)
    suspects = [row for row in rows if row["suspect"] == "yes"]
    assert rows[: len(suspects)] == suspects
    of_given = [float(row["of_given_class"]) for row in suspects]
    assert of_given == sorted(of_given)
    report = json.loads(Path("found/report.json").read_text())
    assert [one["path"] for one in report["label_issues"]] == [row["path"] for row in suspects]
    assert f"data.labels={table}" in " ".join(done.out.split())
    assert suspects[0]["path"] in done.out
    words = " ".join(done.out.split())
    assert f"Confident learning doubts {len(suspects)} of the labels." in words
    surely = [
        one for one in suspects if float(one["confidence"]) >= 20 * float(one["of_given_class"])
    ]
    assert ("Look at the first" in words) == bool(surely)
    with Image.open("found/labels_01.png") as sheet:
        assert sheet.height > 200
    page = Path("found/report.html").read_text()
    assert "Labels that may be wrong" in page

    # The table has a person's corrections: it is not replaced unless it is given back.
    refused = script("inspect_data", *settings, "labels=true")
    assert refused.status == 1
    assert f"add data.labels={table}" in refused.err
    assert rows_of(table) == rows
    script("inspect_data", *settings)
    assert rows_of(table) == rows
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    lines = [
        line.replace(f",{classes[1]},", ",drop,", 1) if line.startswith(swapped[0]) else line
        for line in lines
    ]
    table.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    again = script("inspect_data", *settings, "labels=true", f"data.labels={table}")
    assert again.status == 0, again.err
    kept = {row["path"]: row["class"] for row in rows_of(table)}
    assert kept[swapped[0]] == "drop"
    assert {path: kept[path] for path in swapped[1:]} == dict.fromkeys(swapped[1:], classes[1])


def test_an_untouched_table_is_replaced_and_goes_with_its_inspection(
    script: Any, fish: Path
) -> None:
    settings = (f"data.root={fish / 'pictures'}", "output=found", "data.image_size=64")
    for _ in range(2):
        assert script("inspect_data", *settings, "labels=true").status == 0
    assert Path("found/labels.csv").is_file()
    assert script("inspect_data", *settings).status == 0
    assert not [*Path("found").glob("labels*")]


@pytest.mark.parametrize(
    ("missing", "needed"), [("cleanlab", "labels,pretrained"), ("timm", "labels,pretrained")]
)
def test_without_the_packages_one_line_says_what_to_type(
    script: Any, fish: Path, monkeypatch: pytest.MonkeyPatch, missing: str, needed: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    refused = script("inspect_data", f"data.root={fish / 'pictures'}", "labels=true")
    assert refused.status == 1
    assert f"pip install 'fishcnn[{needed}]'" in " ".join(refused.err.split())
    assert len(refused.err.splitlines()) == 1


def test_the_networks_of_a_cross_validation_judge_as_well(
    train: Any, script: Any, tiny: list[str], fish: Path
) -> None:
    settings = [*tiny, "trainer.max_epochs=1", "data.folds=3"]
    assert train("-m", *settings, "data.fold=0,1", "hydra.sweep.dir=runs/folds").status == 0
    root = f"data.root={fish / 'pictures'}"
    for folder, message in (
        ("runs/folds", "labels=runs/folds: has no trained run of data.fold=2"),
        ("yes", "labels=yes: choose true, false, or the folder of a sweep over data.fold"),
        (str(fish), "holds no trained run; name the folder of a sweep over data.fold"),
    ):
        refused = script("inspect_data", root, f"labels={folder}")
        assert refused.status == 1
        assert message in " ".join(refused.err.split())
    assert train(*settings, "data.fold=2", "hydra.run.dir=runs/folds/last").status == 0
    found = script("inspect_data", root, "labels=runs/folds", "output=found")
    assert found.status == 0, found.err
    assert "The answers of the networks of the folds to held-out images" in " ".join(
        found.out.split()
    )
    rows = {row["path"]: row for row in rows_of(Path("found/labels.csv"))}
    # Others of the same names.
    shutil.copytree(fish / "pictures", "others")
    for file in Path("others").rglob("*.jpg"):
        with Image.open(file) as image:
            image.transpose(Image.Transpose.ROTATE_180).save(file)
    refused = script("inspect_data", "data.root=others", "labels=runs/folds", "output=none")
    assert refused.status == 1
    assert "was trained on other images than those in" in " ".join(refused.err.split())
    assert set(rows) == set(paths(fish))
    # What an evaluation of one of the runs says of its fold.
    run = next(run for run in RunFolder.below(Path("runs/folds")))
    assert script("evaluate", f"ckpt={run.path}").status == 0
    for row in rows_of(run.evaluation("val") / "predictions.csv"):
        assert float(rows[row["path"]]["of_given_class"]) == pytest.approx(
            float(row["probability_of_true"]), abs=1e-4
        )
