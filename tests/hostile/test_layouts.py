"""Folders as people have them: understood where that is sure, else refused with what to do."""

from itertools import product
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fishcnn.commands.build import build_source
from fishcnn.commands.settings import as_settings
from fishcnn.data.image_folder import scan_folder
from fishcnn.utils.errors import ArgumentError, FishError

# NFC and NFD of the same name.
COMPOSED, DECOMPOSED = "Caf\u00e9", "Cafe\u0301"


def files(*levels: str) -> list[str]:
    """One path for every way through the levels, whose names are separated by spaces."""
    return ["/".join(parts) for parts in product(*(level.split() for level in levels))]


def make(root: Path, names: list[str]) -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


TWO, ONE = "Koi Rui", "1.jpg"


@pytest.mark.parametrize(
    "names",
    [
        files("train2017 val2017", TWO, ONE),
        files("train_set val_set test_set", TWO, ONE),
        files("training validation testing", TWO, ONE),
        files("TrainImages ValImages TestImages", TWO, ONE),
        files("trainset valset", TWO, ONE),
        files("train-images dev-images holdout-images", TWO, ONE),
        files("1_train 2_valid", TWO, ONE),
        files("pond_train pond_val", TWO, ONE),
        files("train val", "images", TWO, ONE) + files("train val", "labels", "1.txt"),
        files(TWO, "train val test", ONE),
        files(TWO, "training validation", "deeper", ONE),
        ["Koi/Koi_train/1.jpg", "Koi/Koi_val/1.jpg", "Rui/Rui_train/1.jpg", "Rui/Rui_val/1.jpg"],
    ],
    ids=lambda names: names[0],
)
def test_a_split_under_another_name_is_the_split(tmp_path: Path, names: list[str]) -> None:
    index = scan_folder(make(tmp_path, names))
    assert index.classes == ("Koi", "Rui")
    assert index.splits is not None
    for path, split, label in zip(index.paths, index.splits, index.labels, strict=True):
        assert f"/{index.classes[label]}/" in f"/{path.as_posix()}"
        assert split in path.as_posix().lower().replace("dev", "val").replace("holdout", "test")
    assert len(index.paths) == sum(name.endswith(".jpg") for name in names)
    assert index.remarks == ()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (files("train_set test_set", TWO, ONE), "no val/; add a val/ .* or name ROOT/train_set"),
        (files(TWO, "train test", ONE), "test/, train/ in Koi/, Rui/ but no val/"),
        (["Koi/train/1.jpg", "Koi/val/1.jpg", "Rui/1.jpg"], "Rui/ does not hold .* ROOT/Koi?"),
        (["Koi/train/1.jpg", "Koi/val/1.jpg", "Rui/val/1.jpg"], "Rui/ does not hold"),
        ([*files("archive", "train val", TWO, ONE), "more/Koi/1.jpg"], "did you mean ROOT/archive"),
        (files("Dhaka Sylhet", "train val", TWO, ONE), "Dhaka/, Sylhet/, which hold .* Koi/, Rui/"),
        (files("train val", "Dhaka Sylhet", TWO, ONE), "train/Dhaka/, train/Sylhet/"),
        (files("fold1 fold2 fold3", TWO, ONE), "did you mean ROOT/fold1"),
        (files("siteA siteB", TWO, ONE), "siteA/, siteB/, which hold .* Koi/, Rui/"),
        (["2022/Koi/1.jpg", "2022/Rui/1.jpg", "2023/Rui/1.jpg", "2023/Bata/1.jpg"], "2022/, 2023/"),
        (files("Old New", "Fish", TWO, ONE), "did you mean ROOT/New"),
        (files(TWO, "fin eye", ONE), "Koi/, Rui/ are the classes, choose data.layout=classes"),
        (files("fold1 fold2", "01 02", ONE), "did you mean ROOT/fold1"),
        (files("siteA siteB", "fish_01 fish_02", ONE), "did you mean ROOT/siteA"),
        (
            [f"{kind}_image/{kind}_0{n}/{kind}_{n}.png" for kind in ("fish", "mask") for n in "12"],
            "Did you mean ROOT/fish_image?",
        ),
        (files("Koi_train Koi_val Rui_train Rui_val", ONE), "named as a split, but not one"),
        (files("trainA trainB testA testB", ONE), "named as a split, but not one"),
        (files("Koi Rui train test", ONE), "has test/, train/ but no val/"),
        ([*files(TWO, ONE), *files("test", TWO, ONE)], "has test/ beside Koi/, Rui/, named as a"),
        ([*files("train", TWO, ONE), "unlabelled/1.jpg"], "Did you mean ROOT/train?"),
        (
            files("images", "train val", TWO, ONE) + files("labels", "train val", "1.txt"),
            "/images?",
        ),
        (files("images masks", TWO, "1.png"), "did you mean ROOT/images?"),
        (
            files("train val", "images", ONE) + files("train val", "labels", "1.txt"),
            "no class folder",
        ),
        (files(TWO, "1.jpg 2.jpg masks/a.png"), "Koi/masks/, named as if it held masks"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_not_sure_is_refused_and_says_what_to_do(
    tmp_path: Path, names: list[str], said: str
) -> None:
    make(tmp_path, names)
    with pytest.raises(FishError, match=said.replace("ROOT", str(tmp_path)).replace("?", r"\?")):
        scan_folder(tmp_path)
    index = scan_folder(tmp_path, layout="classes") if "layout=classes" in said else None
    assert index is None or index.classes == ("Koi", "Rui")


@pytest.mark.parametrize(
    "names",
    [
        files(TWO, "2022 2023", ONE),
        files(TWO, "left right", ONE),
        files(TWO, "1 2 3", ONE),
        files(TWO, "2023", "01 02", ONE),
        files(TWO, "2022 2023", "01", ONE),
        files(TWO, "jan feb", ONE),
        files(TWO, "week1 week2", ONE),
        files(TWO, "100CANON 101CANON", ONE),
        files(TWO, "white_background black_background", ONE),
        files(TWO, "healthy sick", ONE),
        files(TWO, "2023-05-01 2023-05-02", ONE),
        files(TWO, "camera_1 camera_2", "day night", ONE),
        files(TWO, "images", ONE),
        files(TWO, "specimens", ONE),
        files(TWO, "1.jpg a/2.jpg b/3.jpg"),
    ],
    ids=lambda names: names[0],
)
def test_folders_within_a_class_are_taken_as_such(tmp_path: Path, names: list[str]) -> None:
    index = scan_folder(make(tmp_path, names))
    assert (index.classes, index.splits, index.remarks) == (("Koi", "Rui"), None, ())
    assert len(index.paths) == len(names)


@pytest.mark.parametrize(
    ("names", "classes", "said"),
    [
        (files("Bata Boal Koi Rui", "fin eye", ONE), "Bata Boal Koi Rui", "eye/, fin/; if those"),
        (files("Dhaka Sylhet Koi Rui Bata", "x y", ONE), "Bata Dhaka Koi Rui Sylhet", "x/, y/"),
        (files("invalid valid", ONE), "invalid valid", "valid/ were taken for classes"),
        (files("dev Koi Rui", ONE), "dev Koi Rui", "dev/ were taken for classes"),
        (files("Eval Koi", ONE), "Eval Koi", "Eval/ were taken for classes"),
        (
            ["Koi/1.jpg", "Test fish/1.jpg", "Training fish/1.jpg"],
            ["Koi", "Test fish", "Training fish"],
            "Test fish/, Training fish/ were taken for classes",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_are_probably_classes_is_taken_with_a_warning(
    tmp_path: Path, names: list[str], classes: str | list[str], said: str
) -> None:
    index = scan_folder(make(tmp_path, names))
    expected = classes.split() if isinstance(classes, str) else classes
    assert sorted(index.classes) == sorted(expected)
    (remark,) = index.remarks
    assert said in remark


@pytest.mark.parametrize(
    ("masks", "example"),
    [
        (["Koi/Koi GT/1.png", "Rui/Rui GT/2.png"], "Koi/Koi GT/"),
        (["Koi GT/1.png", "Rui_masks/2.png"], "Koi GT/"),
        (["masks/Koi/1.png", "masks/Rui/2.png"], "masks/"),
        (["Koi/ground_truth/1_mask.png", "Rui/Labels/2.png"], "Koi/ground_truth/"),
        (["Koi/1_mask.png", "Rui/2-GT.png"], "Koi/1_mask.png"),
    ],
)
def test_masks_are_no_images(tmp_path: Path, masks: list[str], example: str) -> None:
    inner = "/Koi" if masks[0].startswith("Koi/Koi GT") else ""
    images = [f"Koi{inner}/1.jpg", f"Koi{inner}/3.jpg", f"Rui{inner.replace('Koi', 'Rui')}/2.jpg"]
    make(tmp_path, masks + images)
    for known in ([], ["Koi", "Rui"]):
        index = scan_folder(tmp_path, known_classes=known)
        assert [path.as_posix() for path in index.paths] == sorted(images)
        assert index.remarks == (f"2 masks, such as {example}, were left out.",)
        assert (index.ignored, index.empty_classes) == (0, ())


def test_states_may_be_the_classes(tmp_path: Path) -> None:
    index = scan_folder(make(tmp_path, files("healthy sick", "01 02", ONE)))
    assert (index.classes, index.remarks) == (("healthy", "sick"), ())
    index = scan_folder(make(tmp_path / "ponds", files("pond1 pond2", "2022 2023", ONE)))
    assert (index.classes, index.remarks) == (("pond1", "pond2"), ())


def test_a_fish_called_gt_is_no_mask(tmp_path: Path) -> None:
    index = scan_folder(make(tmp_path, files("GT Koi", "1.jpg 2.jpg")))
    assert index.classes == ("GT", "Koi")
    assert index.remarks == ()


@pytest.mark.parametrize("pair", [("Koi", "koi"), (COMPOSED, DECOMPOSED), ("Koi a", "Koi  A")])
def test_classes_that_look_alike_are_named(tmp_path: Path, pair: tuple[str, str]) -> None:
    index = scan_folder(make(tmp_path, files("Rui", ONE) + [f"{name}/1.jpg" for name in pair]))
    assert len(index.classes) == 3
    (remark,) = index.remarks
    assert all(f'"{name}"' in remark for name in pair)
    assert "look alike, and count as 2 classes. If they are one, move all the images" in remark
    if pair == (COMPOSED, DECOMPOSED):
        assert f'"{COMPOSED}" (4 characters)' in remark
        assert f'"{DECOMPOSED}" (5 characters, accents written apart from their' in remark
    else:
        assert "characters" not in remark


def test_a_split_may_spell_a_class_in_another_form(tmp_path: Path) -> None:
    make(tmp_path, [f"train/{COMPOSED}/1.jpg", "train/Koi/1.jpg"])
    index = scan_folder(make(tmp_path, [f"val/{DECOMPOSED}/1.jpg", "val/KOI/1.jpg"]))
    assert index.classes == (COMPOSED, "Koi")
    assert index.labels.tolist() == [0, 1, 0, 1]


def test_a_known_class_may_be_called_anything(tmp_path: Path) -> None:
    make(tmp_path, files("train Labels", "01 02", ONE))
    index = scan_folder(tmp_path, known_classes=["train", "Labels", "Koi"])
    assert (index.classes, len(index.paths)) == (("Labels", "train"), 4)


def test_images_beside_a_split_are_counted(tmp_path: Path) -> None:
    index = scan_folder(make(tmp_path, [*files("train val", TWO, ONE), "other/Bata/1.jpg"]))
    assert index.remarks == (
        "1 image(s) in other/ beside train/, val/ are in no split and were left out.",
    )


def test_an_unknown_layout_is_named_before_the_folder_is_looked_at() -> None:
    data = OmegaConf.create(
        {"name": "folder", "root": "nowhere", "masks_root": None, "layout": "yolo"}
    )
    wanted = r"data.layout=yolo: choose one of auto, classes"
    with pytest.raises(FishError, match=wanted), as_settings("data."):
        build_source(data)
    with pytest.raises(ArgumentError, match="layout=yolo"):
        scan_folder(Path("nowhere"), layout="yolo")
