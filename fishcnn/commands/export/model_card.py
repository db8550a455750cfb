"""The model card: what a network is, how good, and for what (Mitchell et al. 2019)."""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from fishcnn.commands.export.agreement import TOLERANCE
from fishcnn.commands.export.formats import FORMATS
from fishcnn.commands.export.preparation import FilesAgreement
from fishcnn.commands.run_files import read_config, read_notes, read_overrides
from fishcnn.commands.settings import plain
from fishcnn.commands.templates import render
from fishcnn.data.decoding.resize import CROP, LETTERBOX, SQUASH
from fishcnn.metrics.intervals import wilson_interval
from fishcnn.models.checkpoint import verified_checkpoint
from fishcnn.models.classifier import FishClassifier
from fishcnn.models.scores import SCORES
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import for_shells, printable

log = logging.getLogger(__name__)

_SEEN_AS = {
    SQUASH: "squashed to a square (`data.resize=squash`)",
    LETTERBOX: "in their own shape, filled up with their mean colour to a square "
    "(`data.resize=letterbox`)",
    CROP: "the square in the middle of each image (`data.resize=crop`)",
}


def model_card(
    classifier: FishClassifier,
    checkpoint: Path,
    *,
    files: Mapping[str, Mapping[str, Any]],
    compared_on: str,
    from_files: FilesAgreement,
    sheet: str | None,
    made_with: Mapping[str, str],
) -> str:
    """Describe a network in Markdown, for people who have only the exported files.

    The run folder of the checkpoint is read. Of each exported format, ``files`` has its ``file``,
    ``bytes`` and the numbers of its :class:`~fishcnn.commands.export.agreement.Agreement`;
    ``from_files`` says how the card's own code prepares image files; there may be a Grad-CAM sheet
    beside the card; ``made_with`` are versions by package.

    What the run folder says is left out, with a warning, where that is damaged.
    """
    run = RunFolder.of(checkpoint)
    model: Mapping[str, Any] = classifier.hparams["model"]
    card = partial(
        render,
        "model_card.md",
        classes=classifier.classes,
        network=model.get("architecture", model["name"]),
        model=_in_words(model),
        parameters=sum(p.numel() for p in classifier.network.parameters()),
        size=classifier.image_size,
        seen_as=_SEEN_AS[classifier.square.resize],
        temperature=float(classifier.temperature),
        files=files,
        formats=FORMATS,
        tolerance=TOLERANCE,
        compared_on=compared_on,
        from_files=from_files,
        sheet=sheet,
        made_with=made_with,
    )
    try:
        return printable(card(record=_record(run, checkpoint) if run else None))
    except (FishError, TemplateError, LookupError, TypeError, ValueError, AttributeError) as error:
        # Any of a dozen files may hold anything.
        log.warning("The model card says nothing of the training: %s", error)
        return printable(card(record=None))


def _record(run: RunFolder, checkpoint: Path) -> dict[str, Any]:
    """What a run folder says of one of its checkpoints; what is not there is empty."""
    config = plain(read_config(run))
    root = config["data"].get("root")
    typed = read_overrides(run)
    report, diagnosis = _text(run.data_report).splitlines(), _text(run.diagnosis).splitlines()
    summary = read_notes(run.summary)
    if summary.get("best_epoch") != verified_checkpoint(checkpoint)["epoch"] + 1:
        summary = {}
    evaluations = [
        _without_trained_on(one)
        for one in map(read_notes, run.evaluations())
        # The other checkpoint of the run has other scores.
        if Path(one.get("checkpoint", "")).name == checkpoint.name
    ]
    looked = [one for one in evaluations if one.get("calibration", {}).get("lines")]
    told = [score for score in SCORES if score.tells(len(summary.get("classes", [])))]
    shares = {score.title: summary.get(f"val_{score.key}") for score in told if score.is_share}
    shares["accuracy after the last epoch"] = summary.get("last_val_acc")
    validated = len(read_notes(run.split).get("val", []))
    return {
        "config": config,
        "folder": root and Path(root).name,
        "groups": {name: _in_words(config[name]) for name in ("optimizer", "scheduler", "augment")},
        "typed": for_shells(
            ["python", "scripts/train.py", *(_without_folders(str(t)) for t in typed)]
        ),
        # Classes and the accuracy of a constant answer.
        "data": [line for line in report if line.startswith("|")],
        "constant": [line for line in report if line.startswith("Always ")],
        "diagnosis": [line for line in diagnosis if line.startswith("**")],
        "versions": read_notes(run.versions),
        "summary": summary,
        "validated": validated,
        "shares": [
            (name, share, share and wilson_interval(round(share * validated), validated))
            for name, share in shares.items()
        ],
        "numbers": [
            (score.title, summary.get(f"val_{score.key}")) for score in SCORES if not score.is_share
        ],
        "evaluations": evaluations,
        # One with a fitted temperature, if there is any, says the most.
        "measured_confidence": max(
            looked, key=lambda one: one["calibration"].get("fitted") is not None, default=None
        ),
    }


def _without_trained_on(evaluation: Mapping[str, Any]) -> Mapping[str, Any]:
    """The numbers of an evaluation that say something of new images, where it has such."""
    trained_on = evaluation.get("trained_on", {})
    others, name = trained_on.get("without"), evaluation["pictures"]["name"]
    if not others:
        known = trained_on.get("identical", 0) + trained_on.get("near_duplicates", 0)
        if known < evaluation["pictures_judged"]:
            return evaluation
        return {**evaluation, "pictures": {"name": f"{name}, all of them trained on"}}
    name = f"{name}, those not trained on"
    return {**evaluation, **others, "pictures": {**evaluation["pictures"], "name": name}}


def _in_words(group: Mapping[str, Any]) -> str:
    """A group of settings: its name, then its settings that are not switched off."""
    rest = [f"{key} {value}" for key, value in group.items() if key != "name" and value]
    return ", ".join([str(group["name"]), *rest])


def _without_folders(override: str) -> str:
    """Keep of a path the last part: a card is for others to read."""
    name, equals, value = override.partition("=")
    value = value.strip("'\"")
    if value.startswith(("/", "~")):
        return f"{name}{equals}.../{Path(value).name}"
    return override


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
