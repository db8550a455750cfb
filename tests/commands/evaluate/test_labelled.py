"""Which pictures are judged, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import small_classifier

from fishcnn.commands.evaluate.labelled import labelled_folder, split_of_run
from fishcnn.commands.evaluate.logits import explain, logits_of, views
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.splitting.split import Split
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError


@pytest.fixture
def classifier(datamodule: FishDataModule) -> FishClassifier:
    return small_classifier(datamodule.classes, mean=datamodule.mean, std=datamodule.std).eval()


@pytest.fixture
def folder(fish: Path, tmp_path: Path) -> Path:
    """A copy of the rendered pictures that may be changed."""
    return Path(shutil.copytree(fish / "pictures", tmp_path / "others"))


def test_logits_are_those_of_the_networks_own_predictions(
    datamodule: FishDataModule, classifier: FishClassifier, fish: Path, tmp_path: Path
) -> None:
    of_run = split_of_run(datamodule, "val", classifier.classes, tmp_path)
    of_folder = labelled_folder(fish / "pictures", classifier, workers=2)
    assert (len(of_run), len(of_folder)) == (9, 36)
    for pictures in (of_run, of_folder):
        logits = logits_of(classifier, pictures, augmented=False)
        predictions = classifier.predict([pictures.root / path for path in pictures.paths])
        probabilities = torch.from_numpy(logits[0]).softmax(1).max(1).values
        expected = [prediction.probability for prediction in predictions]
        np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
        parents = [path.parts[0] for path in pictures.paths]
        assert [classifier.classes[label] for label in pictures.labels] == parents


def test_the_first_view_is_the_picture_and_the_second_its_mirror_image() -> None:
    images = torch.rand(2, 3, 16, 16)
    shown = views(images)
    assert [view.shape for view in shown] == [images.shape] * 4
    assert torch.equal(shown[0], images)
    assert torch.equal(shown[1], images.flip(3))
    # Enlarged: what was at an eighth of the way in is at the edge now.
    ramp = torch.linspace(0, 1, 16).expand(1, 3, 16, 16)
    assert views(ramp)[2][0, 0, 0, 0] == pytest.approx(float(ramp[0, 0, 0, 1]))


def test_augmented_logits_are_those_of_every_view(
    datamodule: FishDataModule, classifier: FishClassifier, tmp_path: Path
) -> None:
    pictures = split_of_run(datamodule, "val", classifier.classes, tmp_path)
    plain = logits_of(classifier, pictures, augmented=False)
    augmented = logits_of(classifier, pictures, augmented=True)
    assert (plain.shape, augmented.shape) == ((1, 9, 3), (4, 9, 3))
    np.testing.assert_allclose(augmented[0], plain[0], rtol=1e-5, atol=1e-6)
    assert not np.allclose(augmented[1], plain[0])


def test_every_mistake_has_a_map_for_the_answer_and_one_for_the_truth(
    datamodule: FishDataModule, classifier: FishClassifier, tmp_path: Path
) -> None:
    pictures = split_of_run(datamodule, "val", classifier.classes, tmp_path)
    positions = np.array([0, 4])
    swapped = explain(classifier, pictures, positions, (pictures.labels[positions] + 1) % 3)
    assert swapped.for_predicted.shape == swapped.for_true.shape == (2, 16, 16)
    assert not np.allclose(swapped.for_predicted, swapped.for_true)
    same = explain(classifier, pictures, positions, pictures.labels[positions])
    np.testing.assert_allclose(same.for_predicted, swapped.for_true)


def test_class_names_that_differ_are_listed_for_both_sides(
    classifier: FishClassifier, folder: Path
) -> None:
    first, second, third = classifier.classes
    (folder / first).rename(folder / "Hilsa")
    with pytest.raises(FishError) as caught:
        labelled_folder(folder, classifier, workers=1)
    message = str(caught.value)
    assert message.startswith(f"data_root={folder} has other classes")
    assert f"the folder has 3: Hilsa, {second}, {third}" in message
    assert f"the network has 3: {first}, {second}, {third}" in message
    assert "only in the folder: Hilsa\n" in message
    assert f"only in the network: {first}\n" in message


def test_a_class_without_pictures_is_only_said_and_labels_stay_those_of_the_network(
    classifier: FishClassifier, folder: Path
) -> None:
    shutil.rmtree(folder / classifier.classes[0])
    pictures = labelled_folder(folder, classifier, workers=1)
    assert sorted(set(pictures.labels.tolist())) == [1, 2]
    (remark,) = pictures.remarks
    assert remark.startswith(f"Without pictures: {classifier.classes[0]}.")


def test_a_broken_picture_is_left_out_and_named(classifier: FishClassifier, folder: Path) -> None:
    broken = folder / classifier.classes[1] / "0003.jpg"
    broken.write_bytes(b"no picture")
    pictures = labelled_folder(folder, classifier, workers=1)
    assert len(pictures) == 35
    (remark,) = pictures.remarks
    assert f"{broken}: " in remark


def test_a_folder_that_does_not_exist_is_named_by_the_setting_that_was_typed(
    classifier: FishClassifier, tmp_path: Path
) -> None:
    with pytest.raises(FishError, match=r"^data_root=.*nowhere: does not exist"):
        labelled_folder(tmp_path / "nowhere", classifier, workers=1)


def test_the_test_side_is_that_of_the_split(
    datamodule: FishDataModule, classifier: FishClassifier, tmp_path: Path
) -> None:
    with pytest.raises(FishError, match=r"side=test: .* no test/"):
        split_of_run(datamodule, "test", classifier.classes, tmp_path)
    split = datamodule.split
    shares = Split(train=split.train, val=split.val[:5], test=split.val[5:])
    datamodule.splitting = replace(datamodule.splitting, split=shares)
    pictures = split_of_run(datamodule, "test", classifier.classes, tmp_path)
    assert (pictures.name, len(pictures)) == ("test", 4)
    np.testing.assert_array_equal(pictures.labels, datamodule.images.labels[split.val[5:]])


def test_other_pictures_than_those_of_the_run_are_refused(
    datamodule: FishDataModule, classifier: FishClassifier, tmp_path: Path
) -> None:
    held_out = [datamodule.images.paths[row].as_posix() for row in datamodule.split.val]
    written = tmp_path / "split.json"
    written.write_text(json.dumps({"val": held_out}))
    split_of_run(datamodule, "val", classifier.classes, tmp_path)
    written.write_text(json.dumps({"val": ["gone/1.jpg", *held_out[:-2]]}))
    with pytest.raises(FishError, match=r"lists 8 pictures.* there are 9, of which 7 are the same"):
        split_of_run(datamodule, "val", classifier.classes, tmp_path)
