"""scripts/explain.py as a person runs it, on the trained run."""

import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from running import images_of, network_of, run_and_read, table

from fishcnn.cam.localisation import energy_inside
from fishcnn.cam.maps import grad_cam
from fishcnn.cam.methods import METHODS
from fishcnn.data.decoding.decode import decode
from fishcnn.data.decoding.resize import resize
from fishcnn.utils.run_folder import RunFolder

pytestmark = [
    # Lightning turns its own warnings into output.
    pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning"),
]


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def photos(trained: RunFolder) -> Path:
    """A folder of photographs, one of them broken, beside the trained run."""
    photos = Path("photos").absolute()
    photos.mkdir()
    original = Image.open(next(images_of(trained).rglob("*.jpg")))
    for name, size in (("wide.jpg", (400, 100)), ("tall.png", (60, 180)), ("tiny.png", (9, 7))):
        original.resize(size).save(photos / name)
    (photos / "broken.jpg").write_bytes(b"not an image")
    return photos


def explain(*arguments: str) -> str:
    """Run it; return what it printed."""
    status, printed = run_and_read("explain", *arguments)
    assert status == 0, printed
    return printed


def rows(folder: Path) -> list[dict[str, str]]:
    return table(folder / "explanations.csv")


def page_of(folder: Path) -> str:
    """The page as it reads, wherever its lines are broken."""
    text = html.unescape((folder / "report.html").read_text(encoding="utf-8"))
    return " ".join(text.replace("<wbr>", "").split())


def trust_of(run: RunFolder) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.explanations / "trust.json").read_text())
    return found


def test_without_arguments_validation_images_of_the_latest_run_are_explained(
    trained: RunFolder,
) -> None:
    printed = explain("pictures=22")
    output, images = trained.explanations, images_of(trained)
    written = rows(output)
    held_out = json.loads(trained.split.read_text())["val"]
    assert len(written) == len(held_out) == 22
    assert {row["path"] for row in written} == {str(images / path) for path in held_out}
    classifier = network_of(trained)
    predictions = classifier.predict([row["path"] for row in written])
    for row, prediction in zip(written, predictions, strict=True):
        assert row["true"] == Path(row["path"]).parent.name
        assert row["predicted"] == row["top1_class"] == row["target"] == prediction.label
        assert float(row["probability"]) == pytest.approx(prediction.probability, abs=2e-6)
        assert [row[f"top{k}_class"] for k in (1, 2, 3)] == list(prediction.probabilities)
        assert (output / "pictures" / row["png"]).is_file()
        # The energy on the fish, from the files themselves.
        mask = images.parent / "masks" / row["true"] / f"{Path(row['path']).stem}.png"
        decoded: Any = decode(Path(row["path"]), mask, square=classifier.square)[1]
        pixels = resize(torch.tensor(decoded.image)[None], 32)
        maps = grad_cam(classifier.network, classifier.normalize(pixels), layer="blocks.1.2").maps
        masks = torch.tensor(decoded.mask)[None, None].float() / 255
        masks = torch.nn.functional.interpolate(masks, (32, 32), mode="bilinear", antialias=True)
        energy = float(energy_inside(maps, masks[:, 0]))
        if row["energy_on_fish"]:
            assert float(row["energy_on_fish"]) == pytest.approx(energy, abs=1e-4)
        else:
            assert np.isnan(energy)
        assert row["energy_on_fish"] or float(maps.max()) == 0
    assert {path.name for path in output.iterdir()} == {
        "pictures",
        "explanations.csv",
        "contact_sheet.png",
        "curves.png",
        "examples.png",
        "trust.json",
        "report.html",
    }
    assert len(list((output / "pictures").iterdir())) == 22
    assert str(output / "report.html") in printed
    # Nothing else is left behind, by Hydra or by us.
    assert [path.name for path in Path.cwd().iterdir()] == ["runs"]


def test_the_verdicts_are_printed_and_their_numbers_written(trained: RunFolder) -> None:
    printed = explain("pictures=2")
    trust = trust_of(trained)
    text = page_of(trained.explanations)
    assert (trust["method"], trust["layer"]) == ("gradcam", "blocks.1.2")
    # The network of the tests has hardly learnt anything.
    (doubt, *verdicts), papers = trust["verdicts"], ("Petsiuk", "Chattopadhay", "Adebayo")
    assert doubt.startswith("The maps say little: the network")
    assert "Nothing suspicious" not in text
    assert text.index("The maps say little") < text.index("<h2>Images</h2>")
    for paper, line in zip(papers, verdicts, strict=True):
        assert f"{paper} et al. 20" in line
    # As printed, with the lines joined again.
    joined = " ".join(printed.split())
    for line in [*trust["verdicts"], *trust["findings"]]:
        assert line in joined
        assert line.split(" See ")[0] in text
    # Images are named by their files, wherever they are named.
    (line,) = [line for line in trust["findings"] if line.startswith("On the fish")]
    named = re.findall(r"\d+\.jpg", line.split(" See ")[1])
    assert {Path(picture["path"]).name for picture in trust["pictures"]} >= set(named) != set()
    assert 1 <= text.count('<div class="strip">') <= len(trust["findings"])
    faithful = trust["faithfulness"]
    assert faithful["pictures"] == 22
    for kind in ("map", "random_map", "centre"):
        assert all(0 <= share <= 1 for share in faithful[kind].values())
        curve = trust["curves"][kind.replace("_", " ")]["deletion"]
        area = (sum(curve) - (curve[0] + curve[-1]) / 2) / (len(curve) - 1)
        assert area == pytest.approx(faithful[kind]["deletion_area"], abs=1e-5)
    depths = [depth["layer"] for depth in trust["randomisation"]["depths"]]
    assert depths[-1] == "blocks.0.0"
    assert len(trust["pictures"]) == 22
    classes = trust["evidence"]["classes"]
    # Images with an empty map do not count.
    empty = sum(picture["energy_on_fish"] is None for picture in trust["pictures"])
    assert sum(where["border"]["pictures"] for where in classes.values()) == 22 - empty
    assert all(where["bars"].keys() == where["fish"].keys() for where in classes.values())
    assert 0.3 < trust["evidence"]["overall"]["border"]["area"] < 0.4


def test_the_same_command_gives_the_same_numbers(trained: RunFolder) -> None:
    contents = []
    for _ in range(2):
        explain("pictures=2", "measured=4")
        contents.append(trust_of(trained))
    assert contents[0] == contents[1]


def test_a_folder_of_photographs_is_explained_whatever_its_shapes(
    trained: RunFolder, photos: Path, tmp_path: Path
) -> None:
    printed = explain("input=photos", f"output={tmp_path / 'out'}", "trust=false", "pictures=2")
    written = {Path(row["path"]).name: row for row in rows(tmp_path / "out")}
    assert list(written) == ["broken.jpg", "tall.png", "tiny.png", "wide.jpg"]
    assert written["broken.jpg"]["error"] == "not an image in any known format"
    assert written["broken.jpg"]["png"] == written["broken.jpg"]["predicted"] == ""
    assert "not an image in any known format" in printed
    sizes = {}
    for name in ("tall.png", "tiny.png", "wide.jpg"):
        assert written[name]["true"] == written[name]["energy_on_fish"] == ""
        with Image.open(tmp_path / "out" / "pictures" / written[name]["png"]) as png:
            sizes[name] = png.size
    assert sizes["wide.jpg"][0] > 3 * 320
    assert sizes["wide.jpg"][1] < sizes["tiny.png"][1] < sizes["tall.png"][1]
    # The sheet has two of the three, and says so.
    text = page_of(tmp_path / "out")
    assert "4 images: photos. 1 cannot be read." in text
    assert text.count("<figure>") == 3 * 3
    assert not (tmp_path / "out" / "trust.json").exists()
    assert not trained.explanations.exists()


def test_an_image_of_the_runs_own_data_has_its_class_and_its_mask(trained: RunFolder) -> None:
    path = next(images_of(trained).rglob("*.jpg"))
    printed = explain(f"input={path}", "measured=2", "target=true")
    (row,) = rows(trained.explanations)
    assert row["true"] == row["target"] == path.parent.name
    assert row["energy_on_fish"]
    assert "what speaks for the true class" in printed


def test_all_layers_have_a_column_each(trained: RunFolder) -> None:
    def first_drawing(*arguments: str) -> tuple[dict[str, str], tuple[int, int]]:
        explain("trust=false", "pictures=3", *arguments)
        (first, *_) = rows(trained.explanations)
        with Image.open(trained.explanations / "pictures" / first["png"]) as png:
            return first, png.size

    row, size = first_drawing("layer=all")
    assert {"energy_on_fish_blocks.0.2", "energy_on_fish_blocks.1.2"} <= row.keys()
    _, single = first_drawing()
    assert size[0] == single[0]  # three panels each
    assert size[1] > 1.4 * single[1]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_typed(trained: RunFolder, method: str) -> None:
    printed = explain("trust=false", "pictures=1", f"method={method}")
    assert printed.startswith(f"{method} at blocks.1.2: what ")
    assert f"{method} at blocks.1.2: what " in page_of(trained.explanations)


def test_score_cam_is_measured_on_few_images(trained: RunFolder) -> None:
    explain("method=scorecam", "pictures=1", "measured=3")
    trust = trust_of(trained)
    assert len(trust["pictures"]) == 3
    assert trust["randomisation"]["pictures"] <= 3


def test_one_class_against_another(trained: RunFolder) -> None:
    one, other = sorted(path.name for path in images_of(trained).iterdir())[:2]
    printed = explain("trust=false", "pictures=4", f"target={one}", "against=1")
    assert f"what speaks for class {one} rather than for class 1" in printed
    assert {(row["target"], row["against"]) for row in rows(trained.explanations)} == {(one, other)}
    assert f"{one} rather than {other}" in printed


def test_an_earlier_explanation_is_replaced_and_nothing_else(trained: RunFolder) -> None:
    output = trained.explanations
    explain("pictures=5", "measured=2")
    (output / "pictures" / "mine.png").write_bytes(b"")
    (output / "report.md").write_text("of an earlier version")
    explain("pictures=2", "trust=false")
    names = {row["png"] for row in rows(output)} | {"mine.png"}
    assert {path.name for path in (output / "pictures").iterdir()} == names
    assert not (output / "trust.json").exists()


def test_images_are_numbered_on_through_the_batches(trained: RunFolder, photos: Path) -> None:
    explain(f"input={images_of(trained)}", "trust=false", "pictures=1")
    numbers = [int(row["png"].split("-")[0]) for row in rows(trained.explanations)]
    assert numbers == list(range(1, 37))


def test_a_checkpoint_that_was_moved_explains_photographs_and_says_what_is_missing(
    trained: RunFolder, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "somewhere").mkdir()
    moved = shutil.copy(trained.best_checkpoint, tmp_path / "somewhere" / "net.ckpt")
    printed = explain(f"ckpt={moved}", "input=photos/wide.jpg")
    assert "could not be measured" in " ".join(printed.split())
    assert len(rows(tmp_path / "somewhere" / "explanations")) == 1
    status, printed = run_and_read("explain", f"ckpt={moved}")
    assert status == 1
    assert "input=" in printed


def test_a_folder_that_has_changed_since_the_training_is_told_in_the_words_of_this_script(
    trained: RunFolder, photos: Path
) -> None:
    split = json.loads(trained.split.read_text())
    moved = split["train"].pop()
    trained.split.write_text(json.dumps(split | {"val": [*split["val"], moved]}))
    status, printed = run_and_read("explain")
    assert status == 1
    assert "has changed" in printed
    assert "by input=" in printed
    printed = explain("input=photos/wide.jpg")
    assert "It could not be measured whether the maps are faithful" in " ".join(printed.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["input=photos/wide.jpg", "target=true"], ["target=true", "wide.jpg", "class"]),
        (["target=shark"], ["target=shark", "0 to 2"]),
        (["against=shark"], ["against=shark"]),
        (["method=cam"], ["method=cam", "gradcam++"]),
        (["layer=blocks.7"], ["layer=blocks.7", "blocks.1"]),
        (["method=eigencam", "against=0"], ["eigencam", "against"]),
        (["pictures=0"], ["pictures=0"]),
        (["measured=0"], ["measured=0"]),
        (["seed=-1"], ["seed=-1"]),
        (["trust=maybe"], ["trust=maybe", "true or false"]),
        (["input=photos/gone.jpg"], ["input=photos/gone.jpg"]),
        (["input=photos/broken.jpg", "trust=false"], ["no image can be read"]),
        (["ckpt=nowhere"], ["ckpt=nowhere"]),
        (
            ["output=photos/wide.jpg/x"],
            ["cannot write ", "wide.jpg/x: not a directory", "by output="],
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_piece(
    trained: RunFolder, photos: Path, arguments: list[str], words: list[str]
) -> None:
    status, printed = run_and_read("explain", *arguments)
    assert status == 1
    assert "error: " in printed
    assert "Traceback" not in printed
    for word in words:
        assert word in printed


def test_a_folder_that_cannot_be_written_to_is_named(trained: RunFolder) -> None:
    Path("out").mkdir()
    Path("out/pictures").touch()
    Path("out/report.md").touch()  # nobody has explained anything here: it is the user's own
    status, printed = run_and_read("explain", "output=out", "trust=false")
    assert status == 1
    assert "/out/pictures is not a folder: move it away, or choose another" in printed
    Path("out/pictures").unlink()
    explain("output=out", "trust=false", "pictures=1")
    assert Path("out/report.md").exists()


@pytest.mark.slow
def test_the_report_names_a_shortcut_where_the_network_has_learnt_one_and_only_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FISHCNN_CACHE", str(tmp_path / "cache"))
    found = {}
    for shortcut in ("0.95", "0"):
        run = RunFolder(tmp_path / f"run{shortcut}")
        settings = [f"hydra.run.dir={run.path}", f"data.shortcut={shortcut}", "data.species=4"]
        settings += ["data.pictures_per_class=100", "data.workers=1", "augment=none"]
        settings += ["trainer.max_epochs=14", "trainer.accelerator=cpu", "optimizer.lr=0.004"]
        settings += ["trainer.precision=32-true", "callbacks.ema.enabled=false", "logger=none"]
        status, printed = run_and_read("train", *settings, "callbacks.grad_cam.enabled=false")
        assert status == 0, printed
        printed = explain(f"ckpt={run.path}", "pictures=1", "measured=8")
        text = page_of(run.explanations)
        assert ("SHORTCUT" in printed) == ("SHORTCUT" in text)
        found[shortcut] = text
        if shortcut == "0.95":
            assert trust_of(run)["evidence"]["shortcut"]["patch"]
            assert '<div class="strip">' in text.split("SHORTCUT")[1].split("BORDER")[0]
    assert "the network goes by a small patch away from the fish" in found["0.95"]
    assert "SHORTCUT" not in found["0"]
