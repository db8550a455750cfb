"""scripts/inspect_data.py on small folders with planted faults."""

import html
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from running import SCRIPTS, run_script

from fishcnn.data.rendering.synthetic import ensure_synthetic

SMALL = ("data.image_size=64", "data.cache=ram", "data.workers=1")

Inspect = Callable[..., tuple[int, str]]


@pytest.fixture
def inspect(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Inspect:
    """Run the script in this process, standing in an empty folder: its status and its output."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def run(*overrides: str) -> tuple[int, str]:
        capfd.readouterr()
        status = run_script("inspect_data", *SMALL, *overrides)
        captured = capfd.readouterr()
        return status, captured.out + captured.err

    return run


def photograph(file: Path, seed: int, bar: int = 0) -> Path:
    """Save a picture that resembles no other, with a black bar of this height below it."""
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    picture = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
    if bar:
        picture.paste((0, 0, 0), (0, 120 - bar, 160, 120))
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file, quality=95)
    return file


def classes(root: Path, **counts: int) -> Path:
    """Fill class folders with pictures 0.jpg, 1.jpg, ..."""
    seed = 0
    for name, count in counts.items():
        for number in range(count):
            photograph(root / name / f"{number}.jpg", seed)
            seed += 1
    return root


def copy(root: Path, source: str, target: str) -> None:
    (root / target).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(root / source, root / target)


def report(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="ascii"))
    return content


def page_of(folder: Path) -> str:
    """The page as it reads, wherever its lines are broken."""
    text = html.unescape((folder / "report.html").read_text(encoding="utf-8"))
    return words(text.replace("<wbr>", ""))


def words(text: str) -> str:
    """The text as it reads, wherever the terminal has broken its lines."""
    return " ".join(text.split())


def test_planted_faults_are_all_found(inspect: Inspect, tmp_path: Path) -> None:
    root = classes(tmp_path / "ponds", Bata=6, Koi=9, Rui=3)
    copy(root, "Bata/0.jpg", "Bata/same.jpg")
    with Image.open(root / "Koi/1.jpg") as picture:
        picture.save(root / "Rui/again.png")
    (root / "Koi/broken.jpg").write_bytes(b"no picture")
    for number in range(4):
        photograph(root / "Rui" / f"{number}.jpg", 50 + number, bar=16)
    status, output = inspect(f"data.root={root}")
    assert status == 0, output

    folder = tmp_path / "here" / "inspections" / "ponds"
    found = report(folder)
    groups = [["Koi/1.jpg", "Rui/again.png"], ["Bata/0.jpg", "Bata/same.jpg"]]
    assert found["duplicate_groups"] == groups
    assert found["label_conflicts"] == [{"paths": groups[0], "classes": ["Koi", "Rui"]}]
    assert found["unreadable"] == [
        {"path": "Koi/broken.jpg", "reason": "not an image in any known format"}
    ]
    assert set(found["leaked_by_random_split"]) <= {path for group in groups for path in group}
    assert found["imbalance"] == {
        "counts": {"Bata": 7, "Koi": 9, "Rui": 5},
        "ratio": pytest.approx(9 / 5),
        "majority_class": "Koi",
        "majority_baseline": pytest.approx(9 / 21),
    }
    assert list(found["classes"]) == ["Bata", "Koi", "Rui"]
    rui = found["classes"]["Rui"]
    assert (rui["all"], rui["in_groups"], rui["with_bars"]) == (5, 1, 4)
    assert rui["train"] + rui["val"] == 5
    assert [bar["path"] for bar in found["bars"]] == [f"Rui/{number}.jpg" for number in range(4)]
    assert found["bars"][0]["bottom"] == pytest.approx(16 / 120, abs=0.02)
    assert found["training_stops_with"] == []

    said, page = words(output), page_of(folder)
    for fact in (
        "2 groups of near-duplicates, with 4 of 21 images in them.",
        "Label conflicts: 1 pair of near-duplicates in different classes.",
        "The largest class, Koi (9), has 1.8 times as many images as the smallest, Rui (5).",
        "Possible shortcut: 4 of 5 images of Rui have bars, against 0% of the others.",
    ):
        assert fact in said
        assert fact in page
    for fact in (
        "A training can start; look at the label conflicts and the unreadable images first.",
        "`Koi/1.jpg` and `Rui/again.png`",
        "Unreadable images: 1 `Koi/broken.jpg`: not an image",
        "class train val all unreadable in groups with bars",
    ):
        assert fact in said
    assert "<td>Koi/broken.jpg</td><td>not an image in any known format</td>" in page
    # The most harmful comes first, and each has its images.
    sections = page.split("<h2>")[1:]
    assert [section.split("</h2>")[0] for section in sections] == [
        "Unreadable files",
        "Label conflicts",
        "Classes and their balance",
        "Borders and watermark bars",
        "Near-duplicates",
        "Sizes",
        "Left out",
        "What to type next",
        "How this was made",
    ]
    images = [section.count("<figure") for section in sections]
    assert images == [0, 2, 3, 4 + 4, 2, 0, 0, 0, 0]
    assert '<b class="wrong">Rui</b><span class="faint">/again.png</span>' in sections[1]
    program = f"{sys.executable} {SCRIPTS / 'train.py'}"
    command = f"{program} experiment=probe data.root={root} {' '.join(SMALL)}"
    assert f"{command}</code>" in sections[-2]
    assert output.splitlines()[-1] == f"  {command}"
    assert [line for line in output.splitlines() if line.startswith(str(tmp_path))] == [
        str(folder / name) for name in ("report.html", "report.json", "duplicates_01.png")
    ]
    with Image.open(folder / "duplicates_01.png") as sheet:
        assert sheet.width > 600
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["inspections"]


def test_few_photographs_begin_with_a_pretrained_network(
    inspect: Inspect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = "With fewer than some thousand images, begin with"
    folder = f"data.root={classes(tmp_path / 'ponds', Bata=3, Koi=3)}"
    _, output = inspect(folder)
    assert few in words(output)
    assert "pip install" not in output
    monkeypatch.setitem(sys.modules, "timm", None)
    _, output = inspect(folder)
    assert "Before that, type: pip install 'fishcnn[pretrained]' Then train:" in words(output)
    assert "pip install 'fishcnn[pretrained]'" in page_of(Path("inspections/ponds"))
    rendered = ("data.species=2", "data.pictures_per_class=4", "data.long_side=48")
    _, output = inspect("data=synthetic", *rendered)
    assert few not in words(output)
    assert "scripts/train.py experiment=best" in output.splitlines()[-1]


@pytest.mark.parametrize(("readable", "found"), [(1, "has 1 readable"), (0, "has 0 readable")])
def test_a_folder_that_cannot_be_trained_on_is_reported_all_the_same(
    inspect: Inspect, tmp_path: Path, readable: int, found: str
) -> None:
    root = classes(tmp_path / "ponds", Bata=4, Koi=readable, Rui=4)
    (root / "Koi").mkdir(exist_ok=True)
    (root / "Koi/broken.jpg").write_bytes(b"no picture")
    copy(root, "Bata/0.jpg", "Rui/wrong.jpg")
    status, output = inspect(f"data.root={root}", "output=found")
    assert status == 0, output
    content = report(Path("found"))
    assert found in content["training_stops_with"][0]
    page = page_of(Path("found"))
    assert content["training_stops_with"][0] in page
    assert page.index("A training would stop") < page.index("Unreadable files")
    assert "Once what would stop a training is mended:" in page
    assert "It would stop with: class Koi in" in words(output)
    assert content["duplicate_groups"] == [["Bata/0.jpg", "Rui/wrong.jpg"]]
    assert content["classes"]["Koi"]["all"] == readable
    assert content["classes"]["Koi"]["unreadable"] == 1
    assert content["imbalance"]["ratio"] == (5 if readable else None)


def test_a_folder_of_nothing_but_broken_files_is_reported(inspect: Inspect, tmp_path: Path) -> None:
    for name in ("Koi", "Rui"):
        (tmp_path / "ponds" / name).mkdir(parents=True)
        (tmp_path / "ponds" / name / "1.jpg").write_bytes(b"no picture")
    root = tmp_path / "ponds"
    status, output = inspect(f"data.root={root}", "data.test_fraction=0.1", "output=found")
    assert status == 0, output
    assert "No image can be read." in output
    assert len(report(Path("found"))["unreadable"]) == 2


def test_classes_of_one_group_each_cannot_be_split(inspect: Inspect, tmp_path: Path) -> None:
    root = classes(tmp_path / "ponds", Koi=1, Rui=1)
    for name in ("Koi", "Rui"):
        for number in range(1, 5):
            copy(root, f"{name}/0.jpg", f"{name}/{number}.jpg")
    status, output = inspect(f"data.root={root}", "output=found")
    assert status == 0, output
    content = report(Path("found"))
    assert "no group of images can be spared" in content["training_stops_with"][0]
    assert [len(group) for group in content["duplicate_groups"]] == [5, 5]
    # A fifth of each class, all of it seen before.
    assert len(content["leaked_by_random_split"]) == 2


def test_a_folder_that_is_split_is_told_what_it_leaks(inspect: Inspect, tmp_path: Path) -> None:
    root = classes(tmp_path / "train", Koi=3, Rui=3).rename(tmp_path / "pond-train")
    (tmp_path / "ponds").mkdir()
    root.rename(tmp_path / "ponds" / "train")
    root = tmp_path / "ponds"
    for seed, name in enumerate(("Koi", "Rui"), start=90):
        photograph(root / "val" / name / "new.jpg", seed)
    copy(root, "train/Rui/2.jpg", "val/Rui/known.jpg")
    status, output = inspect(f"data.root={root}", "output=found")
    assert status == 0, output
    content = report(Path("found"))
    assert content["split_by_folders"] is True
    assert content["leaked_by_random_split"] == ["val/Rui/known.jpg"]
    assert content["duplicate_groups"] == [["train/Rui/2.jpg", "val/Rui/known.jpg"]]
    assert "Leaks: 1 of 3 held-out images belong to a group that is in train/" in words(output)


def test_any_file_name_can_be_reported(inspect: Inspect, tmp_path: Path) -> None:
    root = classes(tmp_path / "ponds", Koi=3, Rui=3)
    name = os.fsdecode(b"Koi/\xff[red].jpg")
    copy(root, "Rui/0.jpg", name)
    (root / "Koi/[b] #\U0001f41f.jpg").write_bytes(b"no picture")
    status, output = inspect(f"data.root={root}", "output=found")
    assert status == 0, output
    content = report(Path("found"))
    assert content["label_conflicts"][0]["paths"] == [name, "Rui/0.jpg"]
    assert content["unreadable"][0]["path"] == "Koi/[b] #\U0001f41f.jpg"
    assert "`Koi/\\udcff[red].jpg` and `Rui/0.jpg`" in output
    assert "`Koi/[b] #\U0001f41f.jpg`: not an image" in output
    assert 'Koi</b><span class="faint">/\\udcff[red].jpg</span>' in page_of(Path("found"))


def test_names_are_text_and_never_markup(inspect: Inspect, tmp_path: Path) -> None:
    names = ("<script>alert(1)<", 'Tom & "Jerry\'s"')
    root = classes(tmp_path / "<i>ponds", **dict.fromkeys(names, 4))
    copy(root, f"{names[0]}/0.jpg", f"{names[1]}/<img src=x>.jpg")
    (root / names[0] / "<b>.jpg").write_bytes(b"no picture")
    (root / "<u>empty").mkdir()
    status, output = inspect(f"data.root={root}", "output=found")
    assert status == 0, output
    page = Path("found/report.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|img src=x|i>|u>)|<b>\.jpg", page)
    assert page.count("<img src=") == page.count('<img src="data:image/jpeg;base64,') == 2 + 2
    assert not re.search(r"\bhref=|url\(|@import|https?://", page)
    read = page_of(Path("found"))
    assert all(name in read for name in (*names, "<img src=x>.jpg", "<b>.jpg", "<u>empty"))
    assert f'"data.root={root}"' in read


def test_a_page_of_many_findings_says_what_it_leaves_out(inspect: Inspect, tmp_path: Path) -> None:
    root = classes(tmp_path / "ponds", Koi=32, Rui=13)
    for number in range(32):
        copy(root, f"Koi/{number}.jpg", f"Rui/{number}-again.jpg")
    for number in range(14):
        copy(root, "Rui/12.jpg", f"Rui/12-{number}.jpg")
    for number in range(101):
        (root / "Koi" / f"broken{number}.jpg").write_bytes(b"no picture")
    status, output = inspect(f"data.root={root}", "output=found", "pages=1")
    assert status == 0, output
    page = page_of(Path("found"))
    assert page.count("<figure") == 30 * 2 + 2 + 12
    assert page.count("<td>Koi/broken") == 100
    assert "And 1 more: report.json lists them all." in page
    assert "And 2 more: report.json lists them all." in page
    assert "To print, with conflicts first: duplicates_01.png beside this page." in page
    assert "And 3 more, which report.json lists." in page


def test_a_second_inspection_replaces_the_first(inspect: Inspect, tmp_path: Path) -> None:
    root = classes(tmp_path / "ponds", Koi=3, Rui=3)
    copy(root, "Koi/0.jpg", "Koi/same.jpg")
    assert inspect(f"data.root={root}", "output=found")[0] == 0
    assert Path("found/duplicates_01.png").is_file()
    (root / "Koi/same.jpg").unlink()
    Path("found/report.md").write_text("of an earlier version")
    assert inspect(f"data.root={root}", "output=found")[0] == 0
    assert sorted(path.name for path in Path("found").iterdir()) == ["report.html", "report.json"]
    assert report(Path("found"))["duplicate_groups"] == []


def test_the_sheet_has_no_more_pages_than_wanted(inspect: Inspect, tmp_path: Path) -> None:
    root = classes(tmp_path / "ponds", Koi=11, Rui=2)
    for number in range(11):
        copy(root, f"Koi/{number}.jpg", f"Koi/{number}-again.jpg")
    status, output = inspect(f"data.root={root}", "output=found", "pages=1")
    assert status == 0, output
    assert [path.name for path in Path("found").glob("*.png")] == ["duplicates_01.png"]
    assert "The contact sheets leave out 1 of 11 groups; report.json lists them all." in words(
        output
    )


def test_near_duplicates_are_left_alone_where_that_is_wanted(
    inspect: Inspect, tmp_path: Path
) -> None:
    root = classes(tmp_path / "ponds", Koi=3, Rui=3)
    copy(root, "Koi/0.jpg", "Rui/same.jpg")
    status, output = inspect(f"data.root={root}", "data.group_duplicates=false", "output=found")
    assert status == 0, output
    assert report(Path("found"))["duplicate_groups"] is None
    assert "Near-duplicates were not looked for" in output


def test_a_mask_that_is_missing_is_a_finding(inspect: Inspect, tmp_path: Path) -> None:
    root = classes(tmp_path / "ponds", Koi=3, Rui=3)
    (tmp_path / "masks").mkdir()
    status, output = inspect(
        f"data.root={root}", f"data.masks_root={tmp_path / 'masks'}", "output=found"
    )
    assert status == 0, output
    (stop,) = report(Path("found"))["training_stops_with"]
    assert "does not exist; every image needs one" in stop


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((), "data.root is not set"),
        (("data.root=nowhere",), "data.root=nowhere: does not exist"),
        (("data.root=.", "pages=-1"), "pages=-1: must be a whole number, 0 or more"),
        (("data.root=.", "data.val_fraction=2"), "data.val_fraction=2"),
        (("data.root=.", "data.image_size=much"), "data.image_size=much: must be a whole number"),
    ],
)
def test_what_cannot_be_inspected_is_said(
    inspect: Inspect, overrides: tuple[str, ...], message: str
) -> None:
    status, output = inspect(*overrides)
    assert status == 1
    assert f"error: {message}" in output
    assert list(Path.cwd().iterdir()) == []


def test_an_output_that_is_a_file_is_refused(inspect: Inspect, tmp_path: Path) -> None:
    root = classes(tmp_path / "ponds", Koi=3, Rui=3)
    Path("taken").touch()
    status, output = inspect(f"data.root={root}", "output=taken")
    assert status == 1
    assert "taken is not a folder: choose another one by output=" in output


def test_rendered_fish_can_be_inspected(
    inspect: Inspect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FISHCNN_CACHE", str(tmp_path / "cache"))
    status, output = inspect(
        "data=synthetic", "data.species=2", "data.pictures_per_class=4", "data.long_side=64"
    )
    assert status == 0, output
    assert report(Path("inspections/synthetic"))["imbalance"]["ratio"] == 1


@pytest.mark.slow
def test_a_learning_curve_is_measured_and_shown_in_words_and_as_a_chart(
    inspect: Inspect, tmp_path: Path
) -> None:
    root = ensure_synthetic(
        tmp_path / "drawn",
        species=4,
        images_per_class=26,
        long_side=64,
        shortcut=0.0,
        seed=0,
        workers=1,
    )
    folder = f"data.root={root / 'pictures'}"
    settings = ("data.group_duplicates=false", "learning_curve=true", "output=found")
    status, output = inspect(folder, *settings)
    assert status == 0, output
    curve = report(Path("found"))["learning_curve"]
    sizes = [one["training_images"] for one in curve["measured"]]
    assert sizes == sorted(sizes)
    assert sizes[-1] == pytest.approx(0.8 * 104)
    last = curve["measured"][-1]
    assert 0.25 < last["low"] < last["accuracy"] < last["high"] <= 1
    assert curve["expected"][-1]["training_images"] == pytest.approx(2 * 0.8 * 104)
    first, second = curve["sentences"]
    assert first.startswith(
        ("Twice the images", "What twice the images would bring cannot be said")
    )
    assert f"about {last['accuracy']:.0%} of the others" in second
    page = page_of(Path("found"))
    for sentence in (first, second):
        assert sentence in words(output)
        assert sentence in page
    assert 'alt="Accuracy by number of training images"' in page

    # An inspection without it leaves nothing of it behind.
    status, output = inspect(folder, "output=found")
    assert status == 0, output
    assert "learning_curve" not in report(Path("found"))
    assert "Are more images worth it?" not in page_of(Path("found"))


def test_of_few_images_no_learning_curve_is_measured(inspect: Inspect, tmp_path: Path) -> None:
    root = classes(tmp_path / "ponds", Bata=6, Koi=9)
    status, output = inspect(f"data.root={root}", "learning_curve=true")
    assert status == 0, output
    said = "cannot be said: 15 images are too few, 100 are the least."
    assert said in words(output)
    assert said in page_of(Path("inspections/ponds"))
    curve = report(Path("inspections/ponds"))["learning_curve"]
    assert (curve["measured"], curve["twice_the_images"]) == ([], None)


def test_a_learning_curve_without_a_pretrained_network_names_what_to_install(
    inspect: Inspect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = classes(tmp_path / "ponds", Bata=6, Koi=9)
    monkeypatch.setitem(sys.modules, "timm", None)
    status, output = inspect(f"data.root={root}", "learning_curve=true")
    assert status == 1
    needs = "learning_curve=true: needs a pretrained network: pip install 'fishcnn[pretrained]'"
    assert needs in words(output)
    assert not Path("inspections").exists()
