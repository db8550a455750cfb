"""A table of corrected classes counts instead of the folders, or says what is wrong with it."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.image_folder import scan_folder
from fishcnn.data.labels import CorrectedLabels
from fishcnn.utils.errors import ArgumentError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Files that look like images by their names: three classes of three."""
    for name in ("Koi", "Rui", "Taki boro"):
        (tmp_path / "root" / name).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "root" / name / f"{number}.jpg").touch()
    return tmp_path / "root"


def changes(root: Path, table: bytes | str) -> dict[str, str]:
    file = root.parent / "corrected.csv"
    file.write_bytes(table if isinstance(table, bytes) else table.encode())
    found = CorrectedLabels.read(file, scan_folder(root)).changes
    return {path.as_posix(): name for path, name in found.items()}


@pytest.mark.parametrize(
    "table",
    [
        "path,class\nKoi/1.jpg,Rui\nRui/2.jpg,drop\nRui/0.jpg,Rui\n",
        "\ufeffpath,class\r\nKoi/1.jpg,Rui\r\nRui/2.jpg,drop\r\n",
        "\ufeffpath;class;confidence\r\nKoi/1.jpg;Rui;0,95\r\nRui/2.jpg;drop;\r\n",
        "sep=;\r\npath;class\r\nKoi/1.jpg;Rui\r\nRui/2.jpg;DROP\r\n",
        "class\tnote\tpath\nRui\ta, b; c\tKoi/1.jpg\ndrop\t\tRui/2.jpg\n",
        'Path,Class,note\n"Koi/1.jpg"," rui ","two\nlines"\n\n,,\nRui/2.jpg,drop,\n',
        "path,class\nKoi\\1.jpg,Rui\n./Rui/2.jpg,drop\n",
        "path,class\rKoi/1.jpg,Rui\rRui/2.jpg,drop\r",
    ],
    ids=["plain", "excel", "semicolons", "sep", "tabs", "quoted", "windows", "old-mac"],
)
def test_a_table_is_read_as_any_spreadsheet_saves_it(root: Path, table: str) -> None:
    assert changes(root, table) == {"Koi/1.jpg": "Rui", "Rui/2.jpg": "drop"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("path,class\nKoi/9.jpg,Rui\n", "line 2 has Koi/9.jpg, and there is no such image"),
        ("path,class\nRui/x/0.jpg,Rui\n", "did you mean Koi/0.jpg or Rui/0.jpg"),
        ("path,class\n\nKoi/1.jpg,Hilsa\n", "line 3 has the class Hilsa for Koi/1.jpg"),
        ("path,class\nKoi/1.jpg,Hilsa\n", "choose one of Koi, Rui, Taki boro, or drop"),
        ("path,class\nKoi/1.jpg,\n", "line 2 has no class for Koi/1.jpg"),
        ("path,class\n,Koi\n", "line 2 names no image"),
        ("path,class\nKoi/1.jpg\n", "line 2 has 1 cell"),
        (
            "path,class\nKoi/1.jpg,Rui\nKoi/2.jpg,Koi\nKoi/1.jpg,Koi\n",
            "line 4 has Koi/1.jpg once more, after line 2; keep one",
        ),
        ("path,klass\nKoi/1.jpg,Rui\n", "needs one column class in its first line, which has"),
        ("path,class,class\nKoi/1.jpg,Rui,Koi\n", "needs one column class"),
        ("Koi/1.jpg,Rui\n", "needs one column path in its first line, which has koi/1.jpg, rui"),
        ("", "needs one column path in its first line, which has no names"),
        ("päth,class\n".encode("latin-1"), "is not a table in UTF-8; in a spreadsheet, save it as"),
        ("path,class\nKoi/1.jpg,Rui\n".encode("utf-16"), "is not a table in UTF-8"),
        (
            "path,class\n" + "".join(f"Koi/{n}.jpg,drop\n" for n in range(3)),
            "leaves 0 images of the class Koi, which needs at least 2",
        ),
        (
            "path,class\nKoi/0.jpg,Rui\nKoi/1.jpg,drop\n",
            "leaves 1 image of the class Koi, which needs at least 2",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_its_line(
    root: Path, table: bytes | str, message: str
) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)) as raised:
        changes(root, table)
    assert str(raised.value).startswith(f"labels={root.parent / 'corrected.csv'}: ")


def test_a_file_that_is_not_there_and_a_folder_are_refused(root: Path) -> None:
    with pytest.raises(ArgumentError, match="there is no such file; name a table with the columns"):
        CorrectedLabels.read(root / "none.csv", scan_folder(root))
    with pytest.raises(ArgumentError, match="is a folder"):
        CorrectedLabels.read(root, scan_folder(root))


def test_drop_is_not_understood_where_a_class_is_called_so(root: Path) -> None:
    (root / "Koi").rename(root / "Drop")
    with pytest.raises(ArgumentError, match="call its folder something else"):
        changes(root, "path,class\nRui/1.jpg,drop\n")


def test_names_are_compared_as_they_look(root: Path) -> None:
    (root / "Koi" / "0.jpg").rename(root / "Koi" / "i\u0308.jpg")
    assert changes(root, "path,class\nKoi/\u00ef.jpg,taki  BORO\n") == {
        "Koi/i\u0308.jpg": "Taki boro"
    }


def test_of_names_that_look_the_same_the_one_that_is_written_is_meant(root: Path) -> None:
    for name in ("\u00ef.jpg", "i\u0308.jpg", " 0.jpg"):
        (root / "Koi" / name).touch()
    table = (
        "path,class\nKoi/i\u0308.jpg,Rui\nKoi/\u00ef.jpg,drop\nKoi/ 0.jpg,Rui\n Koi/1.jpg ,Rui\n"
    )
    assert changes(root, table) == {
        "Koi/i\u0308.jpg": "Rui",
        "Koi/\u00ef.jpg": "drop",
        "Koi/ 0.jpg": "Rui",
        "Koi/1.jpg": "Rui",
    }


def test_a_number_is_a_class_although_a_spreadsheet_takes_its_noughts(root: Path) -> None:
    for name, number in (("Koi", "001"), ("Rui", "010")):
        (root / name).rename(root / number)
    assert changes(root, "path,class\n001/0.jpg,1\n001/1.jpg,10\n") == {"001/1.jpg": "010"}


def test_a_table_counts_as_it_was_when_it_was_first_read(
    fish: Path, plain_recipe: Recipe, tmp_path: Path
) -> None:
    path = paths_of(fish)[0]
    table = tmp_path / "corrected.csv"
    table.write_text(f"path,class\n{path},drop\n")
    made = module(fish, tmp_path, plain_recipe, cache="ram", labels=table, resize="crop")
    table.write_text("path,class\n")
    assert len(made.whole_images().paths) == len(made.images.paths) == 35


def paths_of(fish: Path) -> list[str]:
    root = fish / "pictures"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.jpg"))


def test_what_looks_like_a_formula_survives_the_way_there_and_back(root: Path) -> None:
    (root / "Koi").rename(root / "=Koi")
    index = scan_folder(root)
    first = CorrectedLabels({Path("=Koi/1.jpg"): "drop", Path("Rui/1.jpg"): "=Koi"})
    first.save(root.parent / "kept.csv")
    assert CorrectedLabels.read(root.parent / "kept.csv", index) == first


def module(fish: Path, root: Path, recipe: Recipe, **settings: Any) -> FishDataModule:
    made = FishDataModule(
        fish / "pictures",
        masks_root=fish / "masks",
        recipe=recipe,
        **{"image_size": 32, "cache_root": root / "cache", "workers": 1} | settings,
    )
    made.setup()
    return made


@pytest.mark.parametrize("cache", ["disk", "ram", "none"])
def test_images_have_their_new_class_and_those_that_are_dropped_are_gone(
    fish: Path, plain_recipe: Recipe, tmp_path: Path, cache: str
) -> None:
    before = module(fish, tmp_path, plain_recipe, cache=cache)
    names, paths = before.classes, before.images.paths
    table = tmp_path / "corrected.csv"
    lines = [f"{paths[3].as_posix()},{names[2]}", *(f"{paths[n].as_posix()},drop" for n in (0, 20))]
    table.write_text("path,class\n" + "\n".join(lines))
    after = module(fish, tmp_path, plain_recipe, cache=cache, labels=table)
    images, kept = after.images, np.delete(np.arange(36), [0, 20])
    assert images.paths == tuple(paths[row] for row in kept)
    expected = before.images.labels.copy()
    expected[3] = 2
    assert images.labels.tolist() == expected[kept].tolist()
    assert images.dropped == (paths[0], paths[20])
    rows = np.arange(34)
    assert (images.pixels[rows] == before.images.pixels[kept]).all()
    assert images.masks is not None
    assert before.images.masks is not None
    assert (images.masks[rows] == before.images.masks[kept]).all()
    assert (images.digests == before.images.digests[kept]).all()
    split = after.split
    assert sorted([*split.train, *split.val]) == rows.tolist()
    # The split is of the new classes: each has its fifth.
    assert np.bincount(images.labels[split.val]).tolist() == [2, 2, 3]
    batch = after.datasets["train"][np.flatnonzero(split.train == 2).tolist()]
    assert batch["label"].tolist() == [2] * len(batch["label"])
    if cache == "disk":
        again = pickle.loads(pickle.dumps(images.pixels))
        assert (again[rows] == images.pixels[rows]).all()
        # The decoded images of the folder are one, with and without the table.
        assert len([*(tmp_path / "cache" / "decoded").iterdir()]) == 1


def test_a_folder_that_is_split_stays_split_and_keeps_its_training_images(
    fish: Path, plain_recipe: Recipe, tmp_path: Path
) -> None:
    classes = sorted(path.name for path in (fish / "pictures").iterdir())
    for name in classes:
        for number, file in enumerate(sorted((fish / "pictures" / name).iterdir())):
            split = "val" if number < 3 else "train"
            target = tmp_path / "root" / split / name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    first, second = classes[:2]
    vals = sorted((tmp_path / "root" / "val" / first).iterdir())
    table = tmp_path / "corrected.csv"

    def trained(*rows: str) -> FishDataModule:
        table.write_text("path,class\n" + "\n".join(rows))
        made = FishDataModule(
            tmp_path / "root",
            image_size=32,
            cache="ram",
            workers=1,
            labels=table,
            recipe=plain_recipe,
        )
        made.setup()
        return made

    made = trained(f"val/{first}/{vals[0].name},{second}", f"val/{first}/{vals[1].name},drop")
    assert np.bincount(made.images.labels[made.split.val]).tolist() == [1, 4, 3]
    assert np.bincount(made.images.labels[made.split.train]).tolist() == [9, 9, 9]
    files = sorted((tmp_path / "root" / "train" / first).iterdir())
    with pytest.raises(ArgumentError, match=f"leaves 0 training images of the class {first}"):
        trained(*(f"train/{first}/{file.name},{second}" for file in files))


def test_near_duplicates_of_a_dropped_image_stay_together(
    fish: Path, plain_recipe: Recipe, tmp_path: Path
) -> None:
    before = module(fish, tmp_path, plain_recipe)
    groups = before.splitting.groups
    table = tmp_path / "corrected.csv"
    table.write_text(f"path,class\n{before.images.paths[5].as_posix()},drop\n")
    after = module(fish, tmp_path, plain_recipe, labels=table).splitting
    kept = np.delete(groups, 5)
    same = kept[:, None] == kept
    assert (same == (after.groups[:, None] == after.groups)).all()
    assert after.duplicates is not None
    assert after.groups.max() + 1 == len(np.unique(after.groups))
