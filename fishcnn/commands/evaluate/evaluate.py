"""The evaluation: judge a trained network, calibrate it if wanted, and write the report."""

import logging
import os
from pathlib import Path

from omegaconf import DictConfig

from fishcnn.commands.evaluate.evaluation_page import evaluation_page
from fishcnn.commands.evaluate.inference import logits_of, mistake_maps
from fishcnn.commands.evaluate.output import print_results, write_json, write_predictions
from fishcnn.commands.evaluate.results import Results, Scores, about_seen, choose_threshold, score
from fishcnn.commands.evaluate.seen_images import seen_images
from fishcnn.commands.evaluate.temperature import Answers, calibrate, store_temperature
from fishcnn.commands.images_of_run import run_datamodule
from fishcnn.commands.labelled_images import (
    SPLITS,
    LabelledImages,
    labelled_folder,
    split_of_run,
)
from fishcnn.commands.output_folder import all_or_nothing, output_folder
from fishcnn.commands.settings import check_settings
from fishcnn.commands.templates import software
from fishcnn.commands.trained_run import (
    best_device,
    find_trained,
    load_trained,
)
from fishcnn.data.datamodule import FishDataModule
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.checks import choice, flag, number, optional, whole
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import write_bytes
from fishcnn.utils.progress import waiting
from fishcnn.utils.run_folder import EVALUATION, EVALUATION_PAGE, EVALUATION_PREDICTIONS, RunFolder

_MISTAKES = 12
_SPLIT = choice(*SPLITS)
_WANTED = {
    "split": _SPLIT,
    "side": optional(_SPLIT),
    "top_k": whole(1),
    "precision_wanted": number(0, 1, above=True),
    "calibrate": flag,
    "tta": flag,
}

log = logging.getLogger(__name__)


def check_evaluate(config: DictConfig) -> None:
    """Check the settings of an evaluation, or raise a FishError that names one."""
    check_settings(config, _WANTED)


def evaluate(config: DictConfig) -> float:
    """Judge a network on images of known classes by ``conf/evaluate.yaml``.

    Returns:
        Its accuracy, without images that it was trained on if there are others.

    Raises:
        FishError: a setting, the checkpoint or the images are at fault; the message says which.
    """
    check_evaluate(config)
    split = _split(config)
    checkpoint = find_trained(config.ckpt, Path(config.runs))
    run = RunFolder.of(checkpoint)
    name = split
    if config.data_root:
        name = Path(os.path.abspath(os.path.expanduser(config.data_root))).name
    default = (run or RunFolder(checkpoint.parent)).evaluation(name)
    with output_folder(config.output, default) as output:
        return _evaluate(config, split, checkpoint, run, output)


def _evaluate(
    config: DictConfig, split: str, checkpoint: Path, run: RunFolder | None, output: Path
) -> float:
    classifier = load_trained(checkpoint, best_device())
    images, validation, data = _images(config, split, checkpoint, run, classifier)

    judged = Answers(logits_of(classifier, images, augmented=config.tta), images.labels)
    seen = seen_images(images, run, data)
    others = seen.unseen
    both = 0 < others.sum() < len(others)
    # Whatever is said of confidences is said of new images, if there are some.
    new = judged.only(others) if both else judged
    known = new
    if validation is not None and validation is not images:
        logits = logits_of(classifier, validation, augmented=config.tta)
        known = Answers(logits, validation.labels)
    calibration = calibrate(
        new,
        None if validation is None else known,
        float(classifier.temperature),
        store=config.calibrate,
    )
    if calibration.stored:
        store_temperature(checkpoint, calibration.temperature, held=output)

    top_k = min(config.top_k, len(classifier.classes))

    def scored(answers: Answers) -> Scores:
        return score(answers.probabilities(calibration.temperature), answers.labels, top_k)

    once = Answers(judged.logits[:1], images.labels) if config.tta else None
    scores, unseen = scored(judged), scored(new) if both else None
    remarks = [*about_seen(seen, unseen), *images.remarks]
    if images is validation:
        remarks.append(
            "The epoch with the lowest validation loss was chosen on these images, so all "
            "scores are slightly optimistic. Images that the network has never seen (data_root=) "
            "give a fairer estimate. Here all is computed in 32 bits: numbers of a training in 16 "
            "bits (trainer.precision) differ from these a little."
        )
    results = Results(
        checkpoint=checkpoint,
        classes=classifier.classes,
        images=images,
        probabilities=judged.probabilities(calibration.temperature),
        scores=scores,
        calibration=calibration,
        threshold=choose_threshold(
            config.precision_wanted,
            (images if validation is None else validation).name,
            known.probabilities(calibration.temperature),
            known.labels,
            unseen or scores,
        ),
        seen=seen,
        unseen=unseen,
        plain=once and scored(once),
        remarks=remarks,
        plain_unseen=scored(once.only(others)) if once and both else None,
    )
    shown = results.of_new_images()
    mistakes = shown.costly_mistakes(_MISTAKES)
    predicted = shown.scores.predicted[mistakes]
    with waiting("Drawing the report"):
        maps = (
            mistake_maps(classifier, shown.images, mistakes, predicted) if len(mistakes) else None
        )
        page = evaluation_page(results, mistakes, maps, _made_of(results))
    with all_or_nothing(output) as folder:
        write_json(results, folder / EVALUATION)
        write_predictions(results, folder / EVALUATION_PREDICTIONS)
        write_bytes(folder / EVALUATION_PAGE, page)
    print_results(results, output)
    return results.headline.accuracy


def _split(config: DictConfig) -> str:
    if config.side is None:
        return str(config.split)
    log.warning(
        "warning: side=%s: this setting is now called split; type split=%s. The next version will "
        "not accept side.",
        config.side,
        config.side,
    )
    return str(config.side)


def _images(
    config: DictConfig,
    split: str,
    checkpoint: Path,
    run: RunFolder | None,
    classifier: FishClassifier,
) -> tuple[LabelledImages, LabelledImages | None, FishDataModule | str]:
    """The images to judge, the validation images where these are looked at, and the run's own.

    Of the run's own images there is only the reason where they are not at hand.
    """
    folder = config.data_root and Path(config.data_root)
    if folder and not config.calibrate:
        images = labelled_folder(folder, classifier)
        try:
            return images, None, run_datamodule(checkpoint, config.data)
        except FishError as error:
            if config.data.root or config.data.masks_root:
                raise
            return images, None, str(error)
    if run is None:
        needs = "calibrate=true needs the validation images, but " if config.calibrate else ""
        others = "" if config.calibrate else ", or labelled images by data_root="
        raise FishError(
            f"{needs}ckpt={checkpoint} lies outside its run folder, whose config.yaml says what "
            f"it was trained on: name the run folder by ckpt={others}"
        )
    datamodule = run_datamodule(checkpoint, config.data)
    validation = split_of_run(datamodule, "val", classifier.classes, run)
    if folder:
        return labelled_folder(folder, classifier), validation, datamodule
    if split == "val":
        return validation, validation, datamodule
    images = split_of_run(datamodule, split, classifier.classes, run)
    return images, validation, datamodule


def _made_of(results: Results) -> dict[str, str]:
    """What is needed to repeat the evaluation, as names and values."""
    return {
        "checkpoint": str(results.checkpoint),
        "images": f"{results.images.name}: {results.images.root}",
        "temperature": f"{results.calibration.temperature:.4f}",
        "test-time augmentation": "four views" if results.plain else "none",
        "software": software(),
    }
