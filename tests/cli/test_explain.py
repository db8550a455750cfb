"""scripts/explain.py as a person runs it, on a network that was trained for a moment."""

import csv
import json
import logging
import runpy
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fishcnn.cam.localisation import energy_inside
from fishcnn.cam.maps import grad_cam
from fishcnn.cam.methods import METHODS
from fishcnn.data.decoding.decode import decode
from fishcnn.data.decoding.resize import resize
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


Explain = Callable[..., Finished]


def run_script(name: str, *arguments: str) -> int:
    """Run a script in this process; return its exit status."""
    handlers = list(logging.getLogger().handlers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(SCRIPTS / name), *arguments])
        try:
            runpy.run_path(str(SCRIPTS / name), run_name="__main__")
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            # Hydra's own would go on writing to this test's files.
            for handler in set(logging.getLogger().handlers) - set(handlers):
                logging.getLogger().removeHandler(handler)
                handler.close()
    return 0


@pytest.fixture(scope="module")
def home(fish: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data/`` (pictures and masks), ``photos/`` and, below ``runs/``, a run."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(fish, home / "data")
    photos = home / "photos"
    photos.mkdir()
    original = Image.open(next((fish / "pictures").rglob("*.jpg")))
    for name, size in (("wide.jpg", (400, 100)), ("tall.png", (60, 180)), ("tiny.png", (9, 7))):
        original.resize(size).save(photos / name)
    (photos / "broken.jpg").write_bytes(b"no picture")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        settings = ["data=folder", "data.root=data/pictures", "data.masks_root=data/masks"]
        settings += [
            "data.image_size=32",
            "data.batch_size=8",
            "data.val_fraction=0.4",
            "data.cache=ram",
        ]
        settings += ["model.blocks=2", "model.hidden=16", "trainer.max_epochs=2"]
        settings += ["trainer.accelerator=cpu", "callbacks.grad_cam.enabled=false", "logger=none"]
        assert run_script("train.py", *settings) == 0
    return home


@pytest.fixture
def run(home: Path) -> Iterator[Path]:
    """The run folder, without explanations."""
    (config,) = home.glob("runs/*/*/config.yaml")
    yield config.parent
    shutil.rmtree(config.parent / "explanations", ignore_errors=True)


@pytest.fixture
def explain(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Explain:
    """Run ``scripts/explain.py`` in this process, standing beside ``photos/`` and ``runs/``."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Finished:
        capfd.readouterr()
        status = run_script("explain.py", *arguments)
        return Finished(status, *capfd.readouterr())

    return run


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "explanations.csv").open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def classifier_of(run: Path) -> FishClassifier:
    return FishClassifier.load_from_checkpoint(
        run / "checkpoints" / "best.ckpt", weights_only=True, map_location="cpu"
    ).eval()


def test_without_arguments_validation_pictures_of_the_latest_run_are_explained(
    explain: Explain, home: Path, run: Path
) -> None:
    before = sorted(path.name for path in home.iterdir())
    finished = explain()
    assert finished.status == 0, finished.err
    output = run / "explanations"
    written = rows(output)
    held_out = json.loads((run / "split.json").read_text())["val"]
    assert len(written) == len(held_out) == 14
    assert {row["path"] for row in written} == {str(home / "data/pictures" / p) for p in held_out}
    classifier = classifier_of(run)
    predictions = classifier.predict([row["path"] for row in written])
    for row, prediction in zip(written, predictions, strict=True):
        assert row["true"] == Path(row["path"]).parent.name
        assert row["predicted"] == row["top1_class"] == row["target"] == prediction.label
        assert float(row["probability"]) == pytest.approx(prediction.probability, abs=2e-6)
        assert [row[f"top{k}_class"] for k in (1, 2, 3)] == list(prediction.probabilities)
        assert (output / "pictures" / row["png"]).is_file()
        # The energy on the fish, from the files themselves.
        mask = home / "data" / "masks" / row["true"] / f"{Path(row['path']).stem}.png"
        decoded: Any = decode(Path(row["path"]), mask, side=classifier.working_size)[1]
        images = resize(torch.tensor(decoded.image)[None], 32)
        maps = grad_cam(classifier.network, classifier.normalize(images), layer="blocks.1").maps
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
        "report.md",
    }
    assert len(list((output / "pictures").iterdir())) == 14
    assert str(output / "report.md") in finished.out
    # Nothing else is left behind, by Hydra or by us.
    assert sorted(path.name for path in home.iterdir()) == before


def test_the_verdicts_are_printed_and_their_numbers_written(explain: Explain, run: Path) -> None:
    finished = explain("pictures=2")
    assert finished.status == 0, finished.err
    trust = json.loads((run / "explanations" / "trust.json").read_text())
    text = (run / "explanations" / "report.md").read_text()
    assert (trust["method"], trust["layer"]) == ("gradcam", "blocks.1")
    for paper, line in zip(("Petsiuk", "Chattopadhay", "Adebayo"), trust["verdicts"], strict=True):
        assert f"{paper} et al. 20" in line
    # As printed, with the lines joined again.
    joined = " ".join(finished.out.split())
    for line in [*trust["verdicts"], *trust["findings"]]:
        assert line in joined
        assert line.split(":")[0] in text
    faithful = trust["faithfulness"]
    assert faithful["pictures"] == 14
    for kind in ("map", "random_map", "centre"):
        assert all(0 <= share <= 1 for share in faithful[kind].values())
        curve = trust["curves"][kind.replace("_", " ")]["deletion"]
        area = (sum(curve) - (curve[0] + curve[-1]) / 2) / (len(curve) - 1)
        assert area == pytest.approx(faithful[kind]["deletion_area"], abs=1e-5)
    depths = [depth["layer"] for depth in trust["randomisation"]["depths"]]
    assert depths[-1] == "blocks.0.0"
    assert len(trust["pictures"]) == 14
    classes = trust["evidence"]["classes"]
    # ImageSet with an empty map do not count.
    empty = sum(picture["energy_on_fish"] is None for picture in trust["pictures"])
    assert sum(where["border"]["pictures"] for where in classes.values()) == 14 - empty
    assert all(where["bars"].keys() == where["fish"].keys() for where in classes.values())
    assert 0.3 < trust["evidence"]["overall"]["border"]["area"] < 0.4


def test_the_same_command_gives_the_same_numbers(explain: Explain, run: Path) -> None:
    contents = []
    for _ in range(2):
        assert explain("pictures=2", "measured=4").status == 0
        contents.append((run / "explanations" / "trust.json").read_text())
    assert contents[0] == contents[1]


def test_a_folder_of_photographs_is_explained_whatever_its_shapes(
    explain: Explain, home: Path, run: Path, tmp_path: Path
) -> None:
    finished = explain("input=photos", f"output={tmp_path / 'out'}", "trust=false", "pictures=2")
    assert finished.status == 0, finished.err
    written = {Path(row["path"]).name: row for row in rows(tmp_path / "out")}
    assert list(written) == ["broken.jpg", "tall.png", "tiny.png", "wide.jpg"]
    assert written["broken.jpg"]["error"] == "not an image in any known format"
    assert written["broken.jpg"]["png"] == written["broken.jpg"]["predicted"] == ""
    assert "not an image in any known format" in finished.out
    sizes = {}
    for name in ("tall.png", "tiny.png", "wide.jpg"):
        assert written[name]["true"] == written[name]["energy_on_fish"] == ""
        with Image.open(tmp_path / "out" / "pictures" / written[name]["png"]) as png:
            sizes[name] = png.size
    assert sizes["wide.jpg"][0] > 3 * 320
    assert sizes["wide.jpg"][1] < sizes["tiny.png"][1] < sizes["tall.png"][1]
    # The sheet has two of the three, and says so.
    text = (tmp_path / "out" / "report.md").read_text()
    assert "the first 2 are on the sheet" in text
    assert "1 of them cannot be read" in text
    assert not (tmp_path / "out" / "trust.json").exists()
    assert not (run / "explanations").exists()


def test_a_picture_of_the_runs_own_data_has_its_class_and_its_mask(
    explain: Explain, home: Path, run: Path
) -> None:
    path = next((home / "data" / "pictures").rglob("*.jpg"))
    finished = explain(f"input={path}", "measured=2", "target=true")
    assert finished.status == 0, finished.err
    (row,) = rows(run / "explanations")
    assert row["true"] == row["target"] == path.parent.name
    assert row["energy_on_fish"]
    assert "what speaks for the true class" in finished.out


def test_all_layers_have_a_column_each(explain: Explain, run: Path) -> None:
    assert explain("trust=false", "pictures=3", "layer=all").status == 0
    (first, *_) = rows(run / "explanations")
    assert {"energy_on_fish_blocks.0", "energy_on_fish_blocks.1"} <= first.keys()
    with Image.open(run / "explanations" / "pictures" / first["png"]) as png:
        size = png.size
    assert explain("trust=false", "pictures=3").status == 0
    (first, *_) = rows(run / "explanations")
    with Image.open(run / "explanations" / "pictures" / first["png"]) as png:
        single = png.size
    assert size[0] == single[0]  # three panels each
    assert size[1] > 1.4 * single[1]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_typed(explain: Explain, run: Path, method: str) -> None:
    finished = explain("trust=false", "pictures=1", f"method={method}")
    assert finished.status == 0, finished.err
    assert f"\n{method} at blocks.1: what " in finished.out
    assert f"Maps: {method} at blocks.1 (" in (run / "explanations" / "report.md").read_text()


def test_score_cam_is_measured_on_few_pictures(explain: Explain, run: Path) -> None:
    assert explain("method=scorecam", "pictures=1", "measured=3").status == 0
    trust = json.loads((run / "explanations" / "trust.json").read_text())
    assert len(trust["pictures"]) == 3
    assert trust["randomisation"]["pictures"] <= 3


def test_one_class_against_another(explain: Explain, home: Path, run: Path) -> None:
    one, other = sorted(path.name for path in (home / "data" / "pictures").iterdir())[:2]
    finished = explain("trust=false", "pictures=4", f"target={one}", "against=1")
    assert finished.status == 0, finished.err
    assert f"what speaks for class {one} rather than for class 1" in finished.out
    assert {(row["target"], row["against"]) for row in rows(run / "explanations")} == {(one, other)}
    assert f"{one} rather than {other}" in finished.out


def test_an_earlier_explanation_is_replaced_and_nothing_else(explain: Explain, run: Path) -> None:
    output = run / "explanations"
    assert explain("pictures=5", "measured=2").status == 0
    (output / "pictures" / "mine.png").write_bytes(b"")
    assert explain("pictures=2", "trust=false").status == 0
    names = {row["png"] for row in rows(output)} | {"mine.png"}
    assert {path.name for path in (output / "pictures").iterdir()} == names
    assert not (output / "trust.json").exists()


def test_a_checkpoint_that_was_moved_explains_photographs_and_says_what_is_missing(
    explain: Explain, home: Path, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "somewhere").mkdir()
    moved = shutil.copy(run / "checkpoints" / "best.ckpt", tmp_path / "somewhere" / "net.ckpt")
    finished = explain(f"ckpt={moved}", "input=photos/wide.jpg")
    assert finished.status == 0, finished.err
    assert "could not be measured" in " ".join(finished.out.split())
    assert len(rows(tmp_path / "somewhere" / "explanations")) == 1
    finished = explain(f"ckpt={moved}")
    assert finished.status == 1
    assert "input=" in finished.err


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
        (["input=photos/broken.jpg", "trust=false"], ["none of the 1 pictures can be read"]),
        (["ckpt=nowhere"], ["ckpt=nowhere"]),
        (["output=photos/wide.jpg/x"], ["output=", "wide.jpg/x"]),
    ],
)
def test_what_is_wrong_is_said_in_one_piece(
    explain: Explain, run: Path, arguments: list[str], words: list[str]
) -> None:
    finished = explain(*arguments)
    assert finished.status == 1
    assert finished.err.startswith("error: ")
    assert "Traceback" not in finished.err
    for word in words:
        assert word in finished.err


@pytest.mark.slow
def test_the_report_names_a_shortcut_where_the_network_has_learnt_one_and_only_there(
    explain: Explain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FISHCNN_CACHE", str(tmp_path / "cache"))
    found = {}
    for shortcut in ("0.95", "0"):
        run = tmp_path / f"run{shortcut}"
        settings = [f"hydra.run.dir={run}", f"data.shortcut={shortcut}", "data.species=4"]
        settings += ["data.pictures_per_class=100", "data.workers=1", "augment=none"]
        settings += ["trainer.max_epochs=14", "trainer.accelerator=cpu", "optimizer.lr=0.004"]
        settings += ["trainer.precision=32-true", "callbacks.ema.enabled=false", "logger=none"]
        assert run_script("train.py", *settings, "callbacks.grad_cam.enabled=false") == 0
        finished = explain(f"ckpt={run}", "pictures=1", "measured=8")
        assert finished.status == 0, finished.err
        text = (run / "explanations" / "report.md").read_text()
        assert ("SHORTCUT" in finished.out) == ("SHORTCUT" in text)
        found[shortcut] = text
        trust = json.loads((run / "explanations" / "trust.json").read_text())
        if shortcut == "0.95":
            assert trust["evidence"]["shortcut"]["patch"]
            assert "shortcut" in text.split("stands for")[1]
    assert "the network goes by a small patch away from the fish" in found["0.95"]
    assert "SHORTCUT" not in found["0"]
