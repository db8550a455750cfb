"""Which images are judged, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import small_classifier

from fishcnn.commands.labelled_images import labelled_folder, split_of_run
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.splitting.split import Split
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import RunFolder


@pytest.fixture
def classifier(datamodule: FishDataModule) -> FishClassifier:
    return small_classifier(datamodule.classes, mean=datamodule.mean, std=datamodule.std).eval()


@pytest.fixture
def folder(fish: Path, tmp_path: Path) -> Path:
    """A copy of the rendered images that may be changed."""
    return Path(shutil.copytree(fish / "pictures", tmp_path / "others"))


def test_class_names_that_differ_are_listed_for_the_folder_and_the_network(
    classifier: FishClassifier, folder: Path
) -> None:
    first, second, third = classifier.classes
    (folder / first).rename(folder / "Hilsa")
    with pytest.raises(FishError) as caught:
        labelled_folder(folder, classifier)
    message = str(caught.value)
    assert message.startswith(f"data_root={folder} has other classes")
    assert f"the folder has 3: Hilsa, {second}, {third}" in message
    assert f"the network has 3: {first}, {second}, {third}" in message
    assert "only in the folder: Hilsa\n" in message
    assert f"only in the network: {first}\n" in message


def test_a_class_without_an_image_is_only_said_and_labels_stay_those_of_the_network(
    classifier: FishClassifier, folder: Path
) -> None:
    shutil.rmtree(folder / classifier.classes[0])
    images = labelled_folder(folder, classifier)
    assert sorted(set(images.labels.tolist())) == [1, 2]
    (remark,) = images.remarks
    assert remark.startswith(f"Classes without an image: {classifier.classes[0]}.")


def test_a_broken_image_is_left_out_and_named(classifier: FishClassifier, folder: Path) -> None:
    broken = folder / classifier.classes[1] / "0003.jpg"
    broken.write_bytes(b"not an image")
    images = labelled_folder(folder, classifier)
    assert len(images) == 35
    (remark,) = images.remarks
    assert f"{broken}: " in remark


def test_a_folder_that_does_not_exist_is_named_by_the_setting_that_was_typed(
    classifier: FishClassifier, tmp_path: Path
) -> None:
    with pytest.raises(FishError, match=r"^data_root=.*nowhere.* does not exist"):
        labelled_folder(tmp_path / "nowhere", classifier)


def test_the_test_images_are_those_of_the_split(
    datamodule: FishDataModule, classifier: FishClassifier, tmp_path: Path
) -> None:
    with pytest.raises(FishError, match=r"^split=test: .* no test/"):
        split_of_run(datamodule, "test", classifier.classes, RunFolder(tmp_path))
    split = datamodule.split
    shares = Split(train=split.train, val=split.val[:5], test=split.val[5:])
    datamodule.splitting = replace(datamodule.splitting, split=shares)
    images = split_of_run(datamodule, "test", classifier.classes, RunFolder(tmp_path))
    assert (images.name, len(images)) == ("test", 4)
    np.testing.assert_array_equal(images.labels, datamodule.images.labels[split.val[5:]])


def test_other_images_than_those_of_the_run_are_refused(
    datamodule: FishDataModule, classifier: FishClassifier, tmp_path: Path
) -> None:
    held_out = [datamodule.images.paths[row].as_posix() for row in datamodule.split.val]
    run = RunFolder(tmp_path)
    run.split.write_text(json.dumps({"val": held_out}))
    split_of_run(datamodule, "val", classifier.classes, run)
    run.split.write_text(json.dumps({"val": ["gone/1.jpg", *held_out[:-2]]}))
    with pytest.raises(FishError, match=r"lists 8 val images; .* 9, of which 7 are .* by input=$"):
        split_of_run(datamodule, "val", classifier.classes, run, instead="input")
