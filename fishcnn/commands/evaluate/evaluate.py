"""The evaluation: judge a trained network, calibrate it if wanted, and write the report."""

import math
import os
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from fishcnn.commands.evaluate.evaluation_page import report
from fishcnn.commands.evaluate.labelled import SPLITS, Labelled, labelled_folder, split_of_run
from fishcnn.commands.evaluate.logits import explain, logits_of
from fishcnn.commands.evaluate.printed_results import print_results
from fishcnn.commands.evaluate.result_files import write_files
from fishcnn.commands.evaluate.results import (
    Calibration,
    CalibrationLine,
    Results,
    Scores,
    Threshold,
    score,
)
from fishcnn.commands.evaluate.stored_temperature import store_temperature
from fishcnn.commands.trained_run import (
    best_device,
    find_trained,
    load_trained,
    run_datamodule,
    run_folder,
)
from fishcnn.metrics.calibration import (
    MAX_TEMPERATURE,
    MIN_FIT_IMAGES,
    MIN_TEMPERATURE,
    TemperatureFit,
    cross_fitted_temperatures,
    fit_temperature,
    log_loss,
    reliability,
    softmax,
)
from fishcnn.metrics.classification import Counts, Floats
from fishcnn.metrics.selective_prediction import keep, lowest_threshold, selective_curve
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError
from fishcnn.utils.versions import versions

_MISTAKES = 12


def evaluate(config: DictConfig) -> float:
    """Judge a network on pictures whose classes are known.

    Args:
        config: ``conf/evaluate.yaml``.

    Returns:
        The accuracy.

    Raises:
        FishError: a setting, the checkpoint or the pictures are at fault; the message says which.
    """
    _check(config)
    checkpoint = find_trained(config.ckpt, Path(config.runs))
    output = _output(config, checkpoint)
    classifier = load_trained(checkpoint, best_device())
    pictures, validation = _pictures(config, checkpoint, classifier)

    logits = logits_of(classifier, pictures, augmented=config.tta)
    known = logits
    if validation is not None and validation is not pictures:
        known = logits_of(classifier, validation, augmented=config.tta)
    calibration = _calibrate(config, classifier, checkpoint, logits, known, pictures, validation)

    top_k = min(config.top_k, len(classifier.classes))
    probabilities = _probabilities(logits, calibration.used)
    scores = score(probabilities, pictures.labels, top_k)
    plain = score(softmax(logits[0], calibration.used), pictures.labels, top_k)
    chosen_on = pictures if validation is None else validation
    results = Results(
        checkpoint=checkpoint,
        classes=classifier.classes,
        pictures=pictures,
        probabilities=probabilities,
        scores=scores,
        calibration=calibration,
        curve=selective_curve(scores.confidence, scores.right),
        threshold=_threshold(
            config.precision_wanted, chosen_on, _probabilities(known, calibration.used), scores
        ),
        plain=plain if config.tta else None,
        remarks=[*pictures.remarks, *_remarks(pictures, validation)],
    )
    write_files(results, output)
    _write_report(results, classifier, output, config)
    print_results(results, output)
    return scores.accuracy


def _check(config: DictConfig) -> None:
    if config.side not in SPLITS:
        raise FishError(f"side={config.side}: there is {', '.join(SPLITS)}; other by data_root=")
    if isinstance(config.top_k, bool) or not isinstance(config.top_k, int) or config.top_k < 1:
        raise FishError(f"top_k={config.top_k}: wanted a whole number, 1 or more")
    wanted = config.precision_wanted
    if isinstance(wanted, bool) or not isinstance(wanted, int | float) or not 0 < wanted <= 1:
        raise FishError(f"precision_wanted={wanted}: wanted a share above 0, such as 0.95, up to 1")
    for name in ("calibrate", "tta"):
        if not isinstance(config[name], bool):
            raise FishError(f"{name}={config[name]}: wanted true or false")


def _output(config: DictConfig, checkpoint: Path) -> Path:
    """Make the folder to write to."""
    if config.output:
        folder = Path(config.output).expanduser().absolute()
    else:
        folder = (run_folder(checkpoint) or checkpoint.parent) / "evaluation"
        folder /= Path(config.data_root).absolute().name if config.data_root else config.side
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FishError(
            f"output={folder} cannot be made: {error.strerror}; choose another folder by output="
        ) from error
    return folder


def _pictures(
    config: DictConfig, checkpoint: Path, classifier: FishClassifier
) -> tuple[Labelled, Labelled | None]:
    """The pictures to judge, and the validation side of the run where it is looked at."""
    run = run_folder(checkpoint)
    if run is None and not config.data_root:
        raise FishError(
            f"ckpt={checkpoint} lies outside its run folder, whose config.yaml says what it was "
            "trained on: name the run folder by ckpt=, or labelled pictures by data_root="
        )
    if run is None and config.calibrate:
        raise FishError(
            f"calibrate=true needs the validation pictures, but ckpt={checkpoint} lies outside its "
            "run folder, whose config.yaml says which these are: name the run folder by ckpt="
        )
    validation = None
    if run is not None and (config.calibrate or not config.data_root):
        datamodule = run_datamodule(checkpoint)
        validation = split_of_run(datamodule, "val", classifier.classes, run)
        if not config.data_root and config.side == "test":
            return split_of_run(datamodule, "test", classifier.classes, run), validation
    if config.data_root:
        workers = os.cpu_count() or 1
        return labelled_folder(Path(config.data_root), classifier, workers), validation
    assert validation is not None
    return validation, validation


def _probabilities(logits: Floats, temperature: float) -> Floats:
    """Mean over the views of ``(V, N, K)`` logits."""
    probabilities: Floats = softmax(logits, temperature).mean(0)
    return probabilities


def _calibrate(
    config: DictConfig,
    classifier: FishClassifier,
    checkpoint: Path,
    logits: Floats,
    known: Floats,
    pictures: Labelled,
    validation: Labelled | None,
) -> Calibration:
    """Fit the temperature where validation pictures are looked at, and store it if wanted.

    Args:
        config: of the evaluation.
        classifier: the network.
        checkpoint: its file.
        logits: ``(V, N, K)`` of the judged pictures.
        known: likewise, of the validation pictures.
        pictures: the judged ones.
        validation: None if the temperature is taken as it is.
    """
    before = float(classifier.temperature)
    lines = [_line("as it was", before, _probabilities(logits, before), pictures.labels)]
    if validation is None:
        return Calibration(lines, None, False, before, "The temperature is that of the checkpoint.")
    fit = fit_temperature(known[0], validation.labels)
    if not fit.usable:
        return Calibration(lines, fit, False, before, _unusable(fit))
    name, temperatures = "calibrated", np.full(len(pictures), fit.temperature)
    if validation is pictures:
        # On the pictures that it was fitted on a temperature looks too good.
        name = "calibrated, each half with the temperature of the other"
        temperatures = cross_fitted_temperatures(logits[0], pictures.labels)
    fitted = softmax(logits, temperatures[:, None]).mean(0)
    lines.append(_line(name, fit.temperature, fitted, pictures.labels))
    found = f"On {fit.images} validation pictures the best temperature is {fit.temperature:.3f}."
    if not config.calibrate:
        stored_already = math.isclose(fit.temperature, before, rel_tol=1e-3)
        advice = "calibrate=true stores it with the network, whose predictions then use it."
        remark = f"{found} {'It is that of the checkpoint.' if stored_already else advice}"
        return Calibration(lines, fit, False, before, remark)
    store_temperature(checkpoint, fit.temperature)
    remark = f"{found} It is stored with the network, and its predictions use it from now on."
    return Calibration(lines, fit, True, fit.temperature, remark)


def _line(name: str, temperature: float, probabilities: Floats, labels: Counts) -> CalibrationLine:
    right = probabilities.argmax(1) == labels
    ece = reliability(probabilities.max(1), right).ece
    return CalibrationLine(name, temperature, ece, log_loss(probabilities, labels))


def _unusable(fit: TemperatureFit) -> str:
    if fit.images < MIN_FIT_IMAGES:
        return (
            f"No temperature is fitted on {fit.images} validation pictures: that takes "
            f"{MIN_FIT_IMAGES} or more. It stays as it is."
        )
    return (
        f"The best temperature on {fit.images} validation pictures, {fit.mistakes} of them "
        f"mistakes, is not between {MIN_TEMPERATURE:g} and {MAX_TEMPERATURE:g}: they hold too few "
        "mistakes to learn from, or the network has learned nothing. It stays as it is."
    )


def _threshold(
    wanted: float, chosen_on: Labelled, probabilities: Floats, scores: Scores
) -> Threshold:
    right = probabilities.argmax(1) == chosen_on.labels
    chosen = lowest_threshold(selective_curve(probabilities.max(1), right), wanted)
    applied = chosen and keep(scores.confidence, scores.right, chosen.threshold)
    return Threshold(wanted, chosen_on.name, chosen, applied)


def _remarks(pictures: Labelled, validation: Labelled | None) -> list[str]:
    if pictures is not validation:
        return []
    return [
        "The best epoch was chosen on these very pictures, so that all scores are a little too "
        "good. A folder that the network has never seen (data_root=) tells more."
    ]


def _write_report(
    results: Results, classifier: FishClassifier, output: Path, config: DictConfig
) -> None:
    mistakes = results.costly_mistakes(_MISTAKES)
    explained = None
    if len(mistakes):
        predicted = results.scores.predicted[mistakes]
        explained = explain(classifier, results.pictures, mistakes, predicted)
    found = versions()
    made_of = {
        "checkpoint": str(results.checkpoint),
        "pictures": f"{results.pictures.name}: {results.pictures.root}",
        "temperature": f"{results.calibration.used:.4f}",
        "test-time augmentation": "four views" if config.tta else "none",
        "software": ", ".join(
            f"{name} {found[name]}" for name in ("fishcnn", "torch", "python") if name in found
        ),
    }
    page = report(results, mistakes.tolist(), explained, made_of)
    (output / "report.html").write_bytes(page)
