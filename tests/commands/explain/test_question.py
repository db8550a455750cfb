import pytest
import torch
from networks import small_classifier

from fishcnn.cam.maps import grad_cam
from fishcnn.cam.methods import METHODS
from fishcnn.commands.explain.question import Question, answer, ask
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError

CLASSES = ["rui", "catla", "7"]


@pytest.fixture(scope="module")
def classifier() -> FishClassifier:
    with torch.random.fork_rng():
        return small_classifier(CLASSES, model={"dropout": 0.0}).eval()


def images() -> torch.Tensor:
    return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def asked(classifier: FishClassifier, **changes: object) -> Question:
    given = {"method": "gradcam", "layer": None, "target": "predicted", "against": None}
    return ask(classifier, **(given | changes))  # type: ignore[arg-type]


def test_the_default_is_the_last_block_before_its_pooling_and_all_is_every_block(
    classifier: FishClassifier,
) -> None:
    assert asked(classifier).layers == ("blocks.1.2",)
    assert asked(classifier, layer="all").layers == ("blocks.0.2", "blocks.1.2")
    assert asked(classifier, layer="all").cells == ((16, 16), (8, 8))
    assert asked(classifier, layer="blocks.1").layers == ("blocks.1",)
    assert asked(classifier, layer="blocks.0.0").layers == ("blocks.0.0",)


def test_maps_and_probabilities_are_those_of_the_engine_and_the_classifier(
    classifier: FishClassifier,
) -> None:
    found = answer(classifier, images(), None, asked(classifier))
    expected = grad_cam(classifier.network, classifier.normalize(images()), layer="blocks.1.2")
    assert torch.equal(found.maps[:, 0], expected.maps)
    assert torch.allclose(found.probabilities, expected.logits.softmax(1), atol=1e-6)
    assert torch.equal(found.targets, expected.logits.argmax(1))
    assert found.against is None


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_a_map_for_every_layer(classifier: FishClassifier, method: str) -> None:
    found = answer(classifier, images(), None, asked(classifier, method=method, layer="all"))
    assert found.maps.shape == (5, 2, 16, 16)
    assert 0 <= float(found.maps.min()) <= float(found.maps.max()) <= 1


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("catla", [1] * 5),
        (0, [0] * 5),
        ("7", [2] * 5),  # the class of that name
        (7, [2] * 5),
        ("true", [0, 1, 2, 0, 1]),
        (True, [0, 1, 2, 0, 1]),  # as YAML reads it
    ],
)
def test_the_class_in_question_can_be_chosen(
    classifier: FishClassifier, target: str | int, expected: list[int]
) -> None:
    labels = torch.tensor([0, 1, 2, 0, 1])
    question = asked(classifier, target=target)
    assert answer(classifier, images(), labels, question).targets.tolist() == expected
    assert question.names_its_class
    assert (question.needs_labels == "target") == (target in (True, "true"))


def test_against_the_predicted_class_means_each_images_own(classifier: FishClassifier) -> None:
    question = asked(classifier, target="rui", against="predicted")
    found = answer(classifier, images(), None, question)
    assert found.against is not None
    assert torch.equal(found.against, found.probabilities.argmax(1))
    same = found.against == found.targets
    assert float(found.maps[same].sum()) == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "gradcam+"}, ["method=gradcam+:", "gradcam++"]),
        ({"layer": "blocks.9"}, ["layer=blocks.9", "blocks.1"]),
        ({"layer": "head.1"}, ["layer=head.1", "blocks.1"]),
        ({"target": "rohu"}, ["target=rohu", "rui"]),
        ({"target": 3}, ["target=3", "0 to 2"]),
        ({"against": "carp"}, ["against=carp", "catla"]),
        ({"target": "rui", "against": "rui"}, ["target=rui against=rui", "different"]),
        ({"method": "eigencam", "against": "rui"}, ["eigencam", "against"]),
    ],
)
def test_a_wrong_setting_is_named_before_any_image_is_read(
    classifier: FishClassifier, changes: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(FishError) as error:
        asked(classifier, **changes)
    for word in words:
        assert word in str(error.value)


def test_a_network_that_has_diverged_is_told_so(classifier: FishClassifier) -> None:
    broken = images()
    broken[0] = torch.nan
    with pytest.raises(FishError, match="diverged"):
        answer(classifier, broken, None, asked(classifier))


@pytest.mark.parametrize(
    ("method", "target", "against", "words"),
    [
        ("gradcam", "predicted", None, "what speaks for the predicted class"),
        ("gradcam", True, "predicted", "the true class rather than for the predicted class"),
        ("gradcam", "rui", 1, "what speaks for class rui rather than for class 1"),
        ("eigencam", "predicted", None, "what stands out, whatever the class"),
    ],
)
def test_the_question_is_put_in_words(
    classifier: FishClassifier,
    method: str,
    target: str | int,
    against: str | int | None,
    words: str,
) -> None:
    assert words in asked(classifier, method=method, target=target, against=against).in_words
