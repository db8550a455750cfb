"""What the benchmark measures, on a few pictures: that its numbers are what they are called."""

import json
import time
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from fishcnn.benchmark import training
from fishcnn.benchmark.benchmark import benchmark
from fishcnn.benchmark.network import build_network_of
from fishcnn.benchmark.photos import SIZES, draw_photos
from fishcnn.benchmark.plain import measure, train_transform
from fishcnn.benchmark.process import run, run_module
from fishcnn.benchmark.training import Row
from fishcnn.commands.build import CONF
from fishcnn.commands.settings import plain
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.utils.errors import FishError


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> DictConfig:
    """The real configuration, for a minute instead of half an hour."""
    folder = tmp_path_factory.mktemp("benchmark")
    tiny = {
        "training": {
            "photos": ["small"],
            "blocks": [2],
            "batches": [4],
            "repetitions": 1,
            "epochs": 2,
            "pictures": {"small": 8},
            "limit_steps": 1,
        },
        "duplicates": {"species": 2, "pictures_per_class": 12, "per_kind": 2},
        "growth": {"pictures": [40, 80], "long_side": 64, "working_size": 48},
        "accuracy": {
            "seeds": [0, 1],
            "species": 2,
            "pictures_per_class": 8,
            "image_size": 32,
            "epochs": 1,
        },
        "cams": {"batch": 2, "image_size": 32, "blocks": 2, "repetitions": 2},
        "workers": 1,
        "threads": 1,
        "cache_root": str(folder / "cache"),
        "output": str(folder),
    }
    loaded = OmegaConf.load(CONF / "benchmark.yaml")
    del loaded["defaults"], loaded["hydra"]
    merged = OmegaConf.merge(loaded, tiny)
    assert isinstance(merged, DictConfig)
    return merged


@pytest.mark.slow
def test_every_part_writes_its_numbers(
    config: DictConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark(config)
    result = json.loads((Path(config.output) / "benchmark.json").read_text())
    assert result["machine"]["cores"] >= 1
    rows = [Row(**row) for row in result["rows"]]
    assert {(row.contender, row.epoch) for row in rows} == {
        (contender, epoch) for contender in training.CONTENDERS for epoch in ("1", "later")
    }
    assert all(row.images_per_second > 0 for row in rows)
    assert all(5e7 < row.peak_memory < 2e10 for row in rows)
    waits = {(row.contender, row.epoch): row.data_wait for row in rows}
    assert all(0 <= wait < 1 for wait in waits.values())
    # The first epoch decodes: most of its time nothing is trained.
    assert waits["fishcnn", "1"] > waits["fishcnn", "later"]
    speed = {(row.contender, row.epoch): row.images_per_second for row in rows}
    for ratio in result["ratios"]:
        expected = speed["fishcnn", "later"] / speed[ratio["over"], "later"]
        assert ratio["value"] == pytest.approx(expected)
        assert ratio["met"] == (ratio["value"] >= ratio["target"])
    if not all(ratio["met"] for ratio in result["ratios"]):
        assert sum(result["profile"]["shares"].values()) == pytest.approx(1)
        assert "What holds it:" in capsys.readouterr().out

    assert result["duplicates"]["pictures"] == 24
    assert set(result["duplicates"]["recall"]) >= {"reencoded", "mirrored", "cropped"}
    assert [row["pictures"] for row in result["growth"]] == [40, 80]
    assert all(row["decode_ms"] > row["reopen_ms"] > 0 for row in result["growth"])
    cams = result["cams"]
    assert cams["largest_difference"] < 1e-4
    assert cams["ratios"]["grad-cam"]["value"] == pytest.approx(
        cams["seconds"]["fishcnn"] / cams["seconds"]["grad-cam"]
    )
    accuracy = result["accuracy"]
    assert all(0 <= value <= 1 for value in accuracy["fishcnn"] + accuracy["plain"])
    difference = sum(accuracy["fishcnn"]) / 2 - sum(accuracy["plain"]) / 2
    assert accuracy["difference"] == pytest.approx(difference)


def test_a_part_that_does_not_exist_is_named(config: DictConfig) -> None:
    with pytest.raises(FishError, match=r"parts=speed: there is training, duplicates"):
        benchmark(OmegaConf.merge(config, {"parts": ["speed"]}))


def test_photos_have_the_sizes_of_their_names_and_are_drawn_once(tmp_path: Path) -> None:
    root = draw_photos(tmp_path, "small", train=2, val=1, workers=1)
    files = sorted(root.rglob("*.jpg"))
    assert [file.relative_to(root).parts[0] for file in files] == ["train", "train", "val"]
    for file in files:
        with Image.open(file) as image:
            assert image.size == SIZES["small"]
    before = files[0].stat().st_mtime_ns
    draw_photos(tmp_path, "small", train=2, val=1, workers=1)
    assert files[0].stat().st_mtime_ns == before


def test_the_plain_recipe_is_the_one_that_the_project_began_with() -> None:
    seed = OmegaConf.merge(
        OmegaConf.load(CONF / "augment" / "none.yaml"),
        OmegaConf.load(CONF / "augment" / "seed.yaml"),
    )
    assert isinstance(seed, DictConfig)
    del seed["defaults"]
    recipe = Recipe.from_config(plain(seed))
    crop, flip, rotation, jitter, *_ = train_transform(128).transforms
    assert (tuple(crop.scale), crop.size) == (tuple(recipe.crop_scale), (128, 128))
    assert flip.p == recipe.flip
    assert rotation.degrees == [-recipe.rotation, recipe.rotation]
    assert jitter.brightness == (1 - recipe.brightness, 1 + recipe.brightness)
    assert jitter.contrast == (1 - recipe.contrast, 1 + recipe.contrast)
    assert jitter.saturation == (1 - recipe.saturation, 1 + recipe.saturation)
    assert jitter.hue == (-recipe.hue, recipe.hue)


def test_all_contenders_train_the_network_of_the_seed_experiment() -> None:
    network = build_network_of(3, 4, 128)
    assert [module.out_features for module in network.modules() if hasattr(module, "out_features")]
    assert type(network.head[0]).__name__ == "Flatten"
    assert len(network.blocks) == 3


def test_the_plain_recipe_counts_the_pictures_that_it_trains_on(tmp_path: Path) -> None:
    root = draw_photos(tmp_path, "small", train=8, val=4, workers=1)
    settings = {
        "root": str(root),
        "blocks": 2,
        "batch": 4,
        "epochs": 2,
        "workers": 0,
        "image_size": 32,
    }
    start = time.perf_counter()
    measured = measure(settings)
    seconds = time.perf_counter() - start
    assert sum(8 / speed for speed in measured["images_per_second"]) == pytest.approx(seconds, 0.05)
    assert all(0 < wait < 1 for wait in measured["data_wait"])


def test_a_process_is_measured_on_its_own(tmp_path: Path) -> None:
    small = run(["-c", "print('small')"], threads=1, folder=tmp_path)
    hold = "import time; x = bytearray(300_000_000); time.sleep(0.5); print(x[0])"
    large = run(["-c", hold], threads=1, folder=tmp_path)
    assert small.output == "small\n"
    assert large.peak_memory - small.peak_memory > 250e6


def test_a_contender_that_fails_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(FishError, match="no such contender"):
        run(["-c", "raise SystemExit('no such contender')"], threads=None, folder=tmp_path)
    with pytest.raises(FishError, match=r"fishcnn\.benchmark\.plain"):
        run_module("fishcnn.benchmark.plain", {}, threads=1, folder=tmp_path)
