"""The model card: what a network is, how good, and for what (Mitchell et al. 2019)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from fishcnn.commands.export.agreement import TOLERANCE
from fishcnn.commands.export.formats import FORMATS
from fishcnn.commands.export.preparation import FilesAgreement
from fishcnn.commands.settings import plain
from fishcnn.commands.templates import render
from fishcnn.commands.train.resume import read_checkpoint
from fishcnn.commands.trained_run import run_config
from fishcnn.metrics.intervals import wilson_interval
from fishcnn.models.classifier import FishClassifier
from fishcnn.models.scores import SCORES
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import printable


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

    Raises:
        FishError: the checkpoint cannot be read.
    """
    run = RunFolder.of(checkpoint)
    model: Mapping[str, Any] = classifier.hparams["model"]
    card = render(
        "model_card.md",
        classes=classifier.classes,
        network=model.get("architecture", model["name"]),
        model=_in_words(model),
        parameters=sum(p.numel() for p in classifier.network.parameters()),
        size=classifier.image_size,
        temperature=float(classifier.temperature),
        files=files,
        formats=FORMATS,
        tolerance=TOLERANCE,
        compared_on=compared_on,
        from_files=from_files,
        sheet=sheet,
        made_with=made_with,
        record=_record(run, checkpoint) if run else None,
    )
    return printable(card)


def _record(run: RunFolder, checkpoint: Path) -> dict[str, Any]:
    """What a run folder says of one of its checkpoints; what is not there is empty."""
    config = plain(run_config(checkpoint))
    root = config["data"].get("root")
    typed = list(OmegaConf.load(run.overrides)) if run.overrides.is_file() else []
    report, diagnosis = _text(run.data_report).splitlines(), _text(run.diagnosis).splitlines()
    summary = _json(run.summary)
    if summary and summary["best_epoch"] != read_checkpoint(checkpoint).epochs:
        summary = {}
    evaluations = [_json(file) for file in run.evaluations()]
    shares = {score.title: summary.get(f"val_{score.key}") for score in SCORES if score.is_share}
    shares["accuracy after the last epoch"] = summary.get("last_val_acc")
    validated = len(_json(run.split).get("val", []))
    return {
        "config": config,
        "folder": root and Path(root).name,
        "groups": {name: _in_words(config[name]) for name in ("optimizer", "scheduler", "augment")},
        "typed": " ".join(["python scripts/train.py", *(_without_folders(str(t)) for t in typed)]),
        # Classes and the accuracy of a constant answer.
        "data": [line for line in report if line.startswith("|")],
        "constant": [line for line in report if line.startswith("Always ")],
        "diagnosis": [line for line in diagnosis if line.startswith("**")],
        "versions": _json(run.versions),
        "summary": summary,
        "validated": validated,
        "shares": [
            (name, share, share and wilson_interval(round(share * validated), validated))
            for name, share in shares.items()
        ],
        "numbers": [
            (score.title, summary.get(f"val_{score.key}")) for score in SCORES if not score.is_share
        ],
        # The other checkpoint of the run has other scores.
        "evaluations": [
            one for one in evaluations if Path(one["checkpoint"]).name == checkpoint.name
        ],
    }


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
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _json(file: Path) -> dict[str, Any]:
    return json.loads(_text(file) or "{}") or {}
