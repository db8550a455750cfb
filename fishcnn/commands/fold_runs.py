"""The runs of a cross-validation as judges: each image by a network that has not learnt from it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fishcnn.commands.command_line import another
from fishcnn.commands.evaluate.inference import logits_of
from fishcnn.commands.images_of_run import run_datamodule
from fishcnn.commands.labelled_images import split_of_run
from fishcnn.commands.run_files import read_config
from fishcnn.commands.trained_run import best_device, load_trained
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.image_index import DIGEST_BYTES
from fishcnn.utils.errors import FishError
from fishcnn.utils.machine import user_path
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import normalised, printable, same_names

_SWEEP = ("-m", "data.folds=5", "data.fold=0,1,2,3,4")


def find_fold_runs(typed: str) -> list[RunFolder]:
    """Find the runs of every fold of a cross-validation below a folder.

    Raises:
        FishError: there is no such folder, or it does not hold a trained run of each fold.
    """
    folder = user_path(typed)
    said = f"labels={typed}"
    if not folder.is_dir():
        raise FishError(f"{said}: choose true, false, or the folder of a sweep over data.fold")
    runs = [run for run in RunFolder.below(folder) if run.best_checkpoint.is_file()]
    settings = [read_config(run).data for run in runs]
    if not runs or not all(data.get("folds") for data in settings):
        what = "holds runs without data.folds" if runs else "holds no trained run"
        name = (
            f"name the folder of a sweep over data.fold, or train one by {another('train', _SWEEP)}"
        )
        raise FishError(f"{said}: {what}; {name}")
    for name in ("folds", "split_seed", "root", "labels"):
        if len(values := {str(data.get(name)) for data in settings}) > 1:
            raise FishError(
                f"{said}: its runs differ in data.{name} ({', '.join(sorted(values))}), so that "
                "they are no one cross-validation; name a folder with the runs of one"
            )
    folds = {int(data.fold) for data in settings}
    if missing := sorted(set(range(int(settings[0].folds))) - folds):
        names = ",".join(map(str, missing))
        raise FishError(f"{said}: has no trained run of data.fold={names}; train what is missing")
    return runs


def probabilities_of_runs(runs: Sequence[RunFolder], images: ImageSet) -> NDArray[np.float64]:
    """Let each run judge the images that it has validated on.

    Args:
        runs: of every fold; of several of the same fold the mean counts.
        images: of the folder that they were trained on, n of K classes.

    Returns:
        float64 ``(n, K)``; NaN where no run has validated on an image.

    Raises:
        FishError: a run was trained on other images.
    """
    place = {normalised(path.as_posix()): row for row, path in enumerate(images.paths)}
    total = np.zeros((len(images.paths), len(images.classes)))
    count = np.zeros(len(images.paths))
    for run in runs:
        datamodule = run_datamodule(run.best_checkpoint)
        classifier = load_trained(run.best_checkpoint, best_device())
        judged = split_of_run(datamodule, "val", classifier.classes, run)
        names = [normalised(path.as_posix()) for path in judged.paths]
        known = np.array([name in place for name in names], np.bool_)
        rows = np.array([place[name] for name in names if name in place], np.int64)
        same = same_names(classifier.classes, map(printable, images.classes)) and known.any()
        # Images of many folders are called 0001.jpg.
        of_run = judged.facts["digest"][known, : DIGEST_BYTES // 2]
        if not same or (of_run != images.digests[rows]).any():
            raise FishError(
                f"{run.path} was trained on other images than those in {images.index.root}"
            )
        logits = logits_of(classifier, judged, augmented=False)[0]
        calibrated = torch.from_numpy(logits) / float(classifier.temperature)
        answers = calibrated.softmax(1).numpy()
        total[rows] += answers[known]
        count[rows] += 1
    found: NDArray[np.float64] = np.full_like(total, np.nan)
    found[count > 0] = total[count > 0] / count[count > 0, None]
    return found
