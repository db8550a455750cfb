"""What the network makes of images, and where it looked."""

from pathlib import Path

import numpy as np
import pytest
import torch
from networks import small_classifier

from fishcnn.commands.evaluate.inference import logits_of, mistake_maps, views
from fishcnn.commands.labelled_images import labelled_folder, split_of_run
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.decoding.read import read_image
from fishcnn.data.decoding.resize import Square
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.run_folder import RunFolder


@pytest.fixture
def classifier(datamodule: FishDataModule) -> FishClassifier:
    return small_classifier(datamodule.classes, mean=datamodule.mean, std=datamodule.std).eval()


def test_logits_are_those_of_the_networks_own_predictions(
    datamodule: FishDataModule, classifier: FishClassifier, fish: Path, tmp_path: Path
) -> None:
    of_run = split_of_run(datamodule, "val", classifier.classes, RunFolder(tmp_path))
    of_folder = labelled_folder(fish / "pictures", classifier)
    assert (len(of_run), len(of_folder)) == (9, 36)
    for images in (of_run, of_folder):
        logits = logits_of(classifier, images, augmented=False)
        predictions = classifier.predict([images.root / path for path in images.paths])
        probabilities = torch.from_numpy(logits[0]).softmax(1).max(1).values
        expected = [prediction.probability for prediction in predictions]
        np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
        parents = [path.parts[0] for path in images.paths]
        assert [classifier.classes[label] for label in images.labels] == parents


def test_the_first_view_is_the_image_and_the_second_its_mirror_image() -> None:
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
    images = split_of_run(datamodule, "val", classifier.classes, RunFolder(tmp_path))
    plain = logits_of(classifier, images, augmented=False)
    augmented = logits_of(classifier, images, augmented=True)
    assert (plain.shape, augmented.shape) == ((1, 9, 3), (4, 9, 3))
    np.testing.assert_allclose(augmented[0], plain[0], rtol=1e-5, atol=1e-6)
    assert not np.allclose(augmented[1], plain[0])


def test_every_mistake_has_a_map_for_the_answer_and_one_for_the_truth(
    datamodule: FishDataModule, classifier: FishClassifier, tmp_path: Path
) -> None:
    images = split_of_run(datamodule, "val", classifier.classes, RunFolder(tmp_path))
    positions = np.array([0, 4])
    swapped = mistake_maps(classifier, images, positions, (images.labels[positions] + 1) % 3)
    assert swapped.for_predicted.shape == swapped.for_true.shape == (2, 16, 16)
    assert not np.allclose(swapped.for_predicted, swapped.for_true)
    same = mistake_maps(classifier, images, positions, images.labels[positions])
    np.testing.assert_allclose(same.for_predicted, swapped.for_true)


@pytest.mark.parametrize("how", ["letterbox", "crop"])
def test_another_folder_is_resized_as_the_network_sees_and_compared_whole(
    fish: Path, how: str
) -> None:
    classes = sorted(folder.name for folder in (fish / "pictures").iterdir())
    classifier = small_classifier(classes, resize=how)
    images = labelled_folder(fish / "pictures", classifier)
    chosen = np.array([3, 30])
    originals = [
        read_image(images.root / images.paths[row], long_enough_for=20) for row in chosen.tolist()
    ]
    seen, whole = images.take(chosen), images.take_whole(chosen)
    for original, as_seen, as_a_whole in zip(originals, seen, whole, strict=True):
        np.testing.assert_array_equal(as_seen, Square(20, how).of_image(original))
        np.testing.assert_array_equal(as_a_whole, Square(20).of_image(original))
