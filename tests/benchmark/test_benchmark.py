"""What the benchmark measures, on a few images: that its numbers are what they are called."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from fishcnn.benchmark import plain as plain_recipe
from fishcnn.benchmark import training
from fishcnn.benchmark.benchmark import benchmark
from fishcnn.benchmark.jpegs import SIZES, draw_jpegs
from fishcnn.benchmark.network import build_network_of
from fishcnn.benchmark.process import measure_alone, run, scratch_folder
from fishcnn.commands.settings import CONF, plain
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.utils.errors import FishError


@pytest.fixture
def config(tmp_path: Path) -> DictConfig:
    """The real configuration, for seconds instead of half an hour."""
    tiny = {
        "training": {
            "photos": ["small"],
            "blocks": [2],
            "batches": [4],
            "rounds": 2,
            "seconds": 0,
            "pictures": {"small": 8},
            "limit_steps": 1,
            "stream": True,
        },
        "duplicates": {"species": 2, "pictures_per_class": 12, "per_kind": 2},
        "cams": {"batch": 2, "image_size": 32, "blocks": 2, "repetitions": 2},
        "workers": 1,
        "threads": 1,
        "cache_root": str(tmp_path / "cache"),
        "output": str(tmp_path),
    }
    loaded = OmegaConf.load(CONF / "benchmark.yaml")
    del loaded["defaults"], loaded["hydra"]
    OmegaConf.set_struct(loaded, True)
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
    rows = {(row["contender"], row["epoch"]): row for row in result["rows"]}
    assert rows.keys() == set(
        itertools.product((*training.CONTENDERS, training.STREAM), ("1", "later"))
    )
    for row in rows.values():
        assert row["images_per_second"] > 0
        assert 5e7 < row["peak_memory"] < 2e10
        assert 0 <= row["data_wait"] < 1
    # The first epoch decodes: most of its time nothing is trained.
    assert rows["fishcnn", "1"]["data_wait"] > rows["fishcnn", "later"]["data_wait"]
    device = rows["fishcnn", "later"]["device"]
    compared = [(ratio["of"], ratio["over"], ratio["target"]) for ratio in result["ratios"]]
    assert compared == [
        *training.RATIOS[device],
        (training.STREAM, training.FISHCNN, None),
    ]
    printed = capsys.readouterr().out
    assert f"{rows['fishcnn', 'later']['images_per_second']:.1f}" in printed
    for ratio in result["ratios"]:
        low, high = ratio["interval"]
        assert low <= ratio["value"] <= high
        assert f"{ratio['value']:.2f}" in printed

    assert result["duplicates"]["pictures"] == 24
    assert result["duplicates"]["planted"] == 12
    assert set(result["duplicates"]["recall"]) >= {"reencoded", "mirrored", "cropped"}
    cams = result["cams"]
    assert cams["largest_difference"] < 1e-4
    assert cams["ratios"]["grad-cam"]["value"] == pytest.approx(
        cams["seconds"]["fishcnn"] / cams["seconds"]["grad-cam"]
    )


def test_a_part_that_does_not_exist_is_named(config: DictConfig) -> None:
    config.parts = ["speed"]
    with pytest.raises(
        FishError, match=r"parts=\[speed\]: choose one of training, duplicates, cams"
    ):
        benchmark(config)


def test_photos_have_the_sizes_of_their_names_and_are_drawn_once(tmp_path: Path) -> None:
    root = draw_jpegs(tmp_path, "small", train=2, val=1, workers=1)
    files = sorted(root.rglob("*.jpg"))
    assert [file.relative_to(root).parts[0] for file in files] == ["train", "train", "val"]
    for file in files:
        with Image.open(file) as image:
            assert image.size == SIZES["small"]
    before = files[0].stat().st_mtime_ns
    draw_jpegs(tmp_path, "small", train=2, val=1, workers=1)
    assert files[0].stat().st_mtime_ns == before


def test_the_plain_recipe_is_the_one_that_the_project_began_with() -> None:
    seed = OmegaConf.merge(
        OmegaConf.load(CONF / "augment" / "none.yaml"),
        OmegaConf.load(CONF / "augment" / "seed.yaml"),
    )
    assert isinstance(seed, DictConfig)
    del seed["defaults"]
    recipe = Recipe.from_config(plain(seed))
    crop, flip, rotation, jitter, *_ = plain_recipe.train_transform(128).transforms
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


def test_memory_is_that_of_the_process_alone(tmp_path: Path) -> None:
    output, small = run("-c", "print('small')", threads=1, folder=tmp_path)
    hold = "import time; x = bytearray(300_000_000); time.sleep(0.5); print(x[0])"
    _, large = run("-c", hold, threads=1, folder=tmp_path)
    assert output == "small\n"
    assert large - small > 250e6


def test_a_process_ends_with_the_one_that_waits_for_it(tmp_path: Path) -> None:
    begin = (
        "import os, time; open('begins', 'w').write(str(os.getpid())); "
        "os.rename('begins', 'begun'); time.sleep(60)"
    )
    waiting = (
        "import sys, pathlib; from fishcnn.benchmark.process import run; "
        f"run('-c', {begin!r}, threads=1, folder=pathlib.Path(sys.argv[1]))"
    )
    # As the commands answer SIGTERM: by an exception.
    raises = "import signal; signal.signal(signal.SIGTERM, signal.default_int_handler); "
    command = [sys.executable, "-c", raises + waiting, str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        while not (tmp_path / "begun").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.terminate()
        process.communicate()
    pid = int((tmp_path / "begun").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_contender_that_fails_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(FishError, match="no such contender"):
        run("-c", "raise SystemExit('no such contender')", threads=None, folder=tmp_path)
    with pytest.raises(FishError, match="has no attribute 'measure'"):
        measure_alone("jpegs", {}, threads=1)  # which is no contender


def test_only_an_error_of_the_temporary_folder_is_blamed_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError), scratch_folder():
        (tmp_path / "missing").read_text()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(FishError, match="by the environment variable TMPDIR"):
        scratch_folder().__enter__()
