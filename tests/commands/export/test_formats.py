"""Each kind of file, written and read again in its own runtime."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fishcnn.commands.export.exported_classifier import ExportedClassifier, metadata_of
from fishcnn.commands.export.formats import FORMATS, Loaded, check_formats
from fishcnn.data.decoding.resize import resize
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError

# What folders may be called; the last is no valid Unicode.
CLASSES = ["ইলিশ", 'the "red" one', "Koi, small", "\udcff"]
CNN = {
    "name": "cnn",
    "blocks": 2,
    "base_channels": 8,
    "max_channels": 16,
    "head": "flatten",
    "hidden": 8,
    "dropout": 0.5,
}
RESNET = {
    "name": "torchvision",
    "architecture": "resnet18",
    "pretrained": True,
    "freeze_backbone": True,
}


def build(
    model: Mapping[str, object], *, image_size: int, working_size: int, **more: str
) -> FishClassifier:
    """A network whose every number matters to its answer."""
    torch.manual_seed(0)
    classifier = FishClassifier(
        classes=CLASSES,
        image_size=image_size,
        working_size=working_size,
        mean=[0.2, 0.4, 0.6],
        std=[0.1, 0.2, 0.3],
        model=model,
        optimizer={"name": "adam", "lr": 1e-3, "weight_decay": 0.0},
        scheduler={"name": "none"},
        label_smoothing=0.0,
        class_weights=None,
        **more,  # type: ignore[arg-type]
    )
    classifier.train()
    for _ in range(3):  # batch norm statistics
        classifier(torch.rand(4, 3, image_size, image_size))
    classifier.temperature.fill_(0.1)
    # As a fit leaves it.
    classifier.network.to(memory_format=torch.channels_last)
    return classifier.eval()


def random_images(count: int, side: int) -> NDArray[np.uint8]:
    """Squares of 5 pixels with random colours, which no resizing makes grey."""
    squares = (count, side // 5, side // 5, 3)
    colours = np.random.default_rng(0).integers(0, 256, squares, dtype=np.uint8)
    return colours.repeat(5, axis=1).repeat(5, axis=2)


def probabilities(classifier: FishClassifier, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    with torch.inference_mode():
        batch = resize(torch.from_numpy(images), classifier.image_size)
        return classifier.probabilities(batch).numpy()


@pytest.fixture(scope="module")
def classifier() -> FishClassifier:
    return build(CNN, image_size=16, working_size=40)


@pytest.fixture(scope="module")
def folder(classifier: FishClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    module, metadata = ExportedClassifier(classifier), metadata_of(classifier)
    for kind in FORMATS.values():
        kind.write(module, metadata, folder / kind.file)
    return folder


@pytest.fixture(params=list(FORMATS))
def loaded(request: pytest.FixtureRequest, folder: Path) -> Loaded:
    return FORMATS[request.param].read(folder / FORMATS[request.param].file)


def test_a_file_gives_the_probabilities_of_the_network_for_any_number_of_images(
    loaded: Loaded, classifier: FishClassifier
) -> None:
    images = random_images(7, 40)
    expected = probabilities(classifier, images)
    # A network that looked at nothing would agree always.
    assert np.ptp(expected, axis=0).max() > 0.3
    for count in (1, 2, 7):
        found = loaded.classify(images[:count])
        assert found.dtype == np.float32
        assert np.abs(found - expected[:count]).max() < 1e-5


def test_a_file_says_what_it_is_and_how_to_feed_it(loaded: Loaded) -> None:
    metadata = loaded.metadata
    assert json.loads(metadata["classes"]) == CLASSES
    assert json.loads(metadata["mean"]) == pytest.approx([0.2, 0.4, 0.6])
    assert json.loads(metadata["std"]) == pytest.approx([0.1, 0.2, 0.3])
    assert (metadata["image_size"], metadata["working_size"]) == ("16", "40")
    assert float(metadata["temperature"]) == pytest.approx(0.1)
    assert json.loads(metadata["model"]) == CNN
    assert "uint8 (N, 40, 40, 3), RGB" in metadata["input"]
    assert "squash to 40 x 40 pixels" in metadata["preprocessing"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("squash", "squash to 40 x 40 pixels with an anti-aliased bilinear filter"),
        ("letterbox", "40 pixels along the longer side, in its own shape, with an anti-aliased"),
        ("crop", "cut out the square in the middle"),
    ],
)
def test_the_metadata_say_what_becomes_of_the_shape(how: str, said: str) -> None:
    metadata = metadata_of(build(CNN, image_size=16, working_size=40, resize=how))
    assert metadata["resize"] == how
    assert said in metadata["preprocessing"]


def test_no_file_tells_where_it_was_made(folder: Path) -> None:
    source = str(Path(__file__).parents[3]).encode()
    for kind in FORMATS.values():
        assert source not in (folder / kind.file).read_bytes(), kind.file
        assert b"stack_trace" not in (folder / kind.file).read_bytes(), kind.file


@pytest.mark.slow
def test_a_torchvision_backbone_can_be_exported_to_all_formats(tmp_path: Path) -> None:
    classifier = build(RESNET, image_size=32, working_size=40)
    module, metadata = ExportedClassifier(classifier), metadata_of(classifier)
    images = random_images(3, 40)
    expected = probabilities(classifier, images)
    for kind in FORMATS.values():
        kind.write(module, metadata, tmp_path / kind.file)
        found = kind.read(tmp_path / kind.file).classify(images)
        assert np.abs(found - expected).max() < 1e-5


def test_a_format_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(FishError, match=r"formats=\[onx\]: choose one of onnx, torch"):
        check_formats(["onx"])
    with pytest.raises(FishError, match=r"formats=\[\]: choose"):
        check_formats([])


def test_a_missing_package_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(FishError, match=r'needs onnxruntime, .*pip install -e "\.\[export\]"'):
        check_formats(["torch", "onnx"])
    check_formats(["torch"])  # which does without
