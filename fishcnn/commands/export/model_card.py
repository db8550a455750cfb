"""The model card: what a network is, how good, and for what (Mitchell et al. 2019)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fishcnn.commands.export.agreement import TOLERANCE, Agreement
from fishcnn.commands.export.formats import FORMATS
from fishcnn.commands.export.run_record import Record, read_record
from fishcnn.commands.export.usage import SNIPPETS
from fishcnn.commands.trained_run import run_folder
from fishcnn.metrics.intervals import wilson_interval
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.text import printable

_UNKNOWN = "The checkpoint lay outside its run folder: this is not on record."


def model_card(
    classifier: FishClassifier,
    checkpoint: Path,
    *,
    agreements: Mapping[str, Agreement],
    sizes: Mapping[str, int],
    compared_on: str,
    sheet: str | None,
    made_with: Mapping[str, str],
) -> str:
    """Describe a network for people who have only the exported files.

    Args:
        classifier: the network.
        checkpoint: where it comes from; its run folder is read.
        agreements: how well each exported format agrees with the network.
        sizes: of the files, in bytes, by format.
        compared_on: what pictures they were compared on.
        sheet: file name of the Grad-CAM sheet beside the card; None without one.
        made_with: versions of what the files were made with, by package.

    Returns:
        Markdown.

    Raises:
        FishError: the checkpoint cannot be read.
    """
    folder = run_folder(checkpoint)
    record = read_record(folder, checkpoint) if folder else None
    count = len(classifier.classes)
    parts = [
        f"# Model card: {_network(classifier)} for {count} classes of fish",
        f"Takes a photograph of one fish and gives a probability to each of {count} classes. "
        "Made by `python scripts/export.py` of fishcnn.",
        "## Files",
        _files(agreements, sizes, compared_on),
        "## How to use them",
        *_usage(agreements),
        "## Data",
        _data(record, classifier),
        "## Recipe",
        _recipe(record, classifier),
        "## Metrics",
        _metrics(record),
        "## Calibration",
        _calibration(record, float(classifier.temperature)),
        "## Limits",
        _limits(record, classifier),
        "## Where it looks",
        _where_it_looks(sheet),
        "## Versions",
        _versions(record, made_with),
    ]
    return printable("\n\n".join(parts) + "\n")


def _network(classifier: FishClassifier) -> str:
    model: Mapping[str, Any] = classifier.hparams["model"]
    return str(model.get("architecture", model["name"]))


def _files(agreements: Mapping[str, Agreement], sizes: Mapping[str, int], compared_on: str) -> str:
    rows = [
        f"| [{FORMATS[name].file}]({FORMATS[name].file}) | {FORMATS[name].title} "
        f"| {sizes[name] / 1e6:.2f} MB | {agreement.same_top1} of {agreement.pictures} "
        f"| {agreement.max_abs_difference:.1e} |"
        for name, agreement in agreements.items()
    ]
    table = "\n".join(
        [
            "| file | what it is | size | same first class | max abs difference |",
            "|---|---|---:|---:|---:|",
            *rows,
        ]
    )
    return (
        f"{table}\n\nEach file was read again in its own runtime and compared with the network "
        f"that was trained, on {compared_on}, in one batch and one by one; files that name "
        f"another class, or are more than {TOLERANCE:g} off in a probability, are refused. Each "
        "holds the class names and the preprocessing in its metadata."
    )


def _usage(names: Mapping[str, Agreement]) -> list[str]:
    parts = []
    for name in names:
        parts += [f"{FORMATS[name].file}:", f"```python\n{SNIPPETS[name]}\n```"]
    return parts


def _data(record: Record | None, classifier: FishClassifier) -> str:
    classes = f"Classes: {', '.join(classifier.classes)}."
    if record is None:
        return f"{classes}\n\n{_UNKNOWN}"
    data = record.config["data"]
    drawn = data["name"] == "synthetic"
    root = data.get("root")
    folder = f", folder `{Path(root).name}`" if root else ""
    nature = ": fish that fishcnn draws, no photographs" if drawn else folder
    held_out = f"`data.val_fraction={data['val_fraction']} data.split_seed={data['split_seed']}`"
    return (
        f"Data set `{data['name']}`{nature}. Unless the folder came split, {held_out} held out "
        f"pictures for validation.\n\n{record.data or classes}"
    )


def _recipe(record: Record | None, classifier: FishClassifier) -> str:
    parameters = sum(p.numel() for p in classifier.network.parameters())
    network = (
        f"- network: {_settings(classifier.hparams['model'])}; {parameters:,} parameters\n"
        f"- sees {classifier.image_size} x {classifier.image_size} pixels, squashed to a square"
    )
    if record is None:
        return f"{network}\n\n{_UNKNOWN}"
    config = record.config
    callbacks, trainer = config["callbacks"], config["trainer"]
    ema = callbacks["ema"]
    stopping = "with" if callbacks["early_stopping"]["enabled"] else "without"
    averaged = f"averaged with decay {ema['decay']}" if ema["enabled"] else "not averaged"
    typed = " ".join(record.overrides)
    return "\n".join(
        [
            network,
            f"- loss: cross-entropy, label smoothing {config['loss']['label_smoothing']}",
            f"- optimizer: {_settings(config['optimizer'])}",
            f"- learning rate schedule: {_settings(config['scheduler'])}",
            f"- augmentation: {_settings(config['augment'])}",
            f"- up to {trainer['max_epochs']} epochs {stopping} early stopping, batches of "
            f"{config['data']['batch_size']}, seed {config['seed']}; weights {averaged}",
            f"- typed: `python scripts/train.py{' ' + typed if typed else ''}`",
        ]
    )


def _settings(group: Mapping[str, Any]) -> str:
    """A group in words: its name, then its settings that are not switched off."""
    rest = [f"{key} {value}" for key, value in group.items() if key != "name" and value]
    return ", ".join([str(group["name"]), *rest])


def _metrics(record: Record | None) -> str:
    if record is None:
        return _UNKNOWN
    parts = []
    if record.summary:
        parts.append(_summary(record.summary, record.validated_on))
    else:
        parts.append("The run has no summary of this checkpoint.")
    if record.evaluation:
        accuracy, ece = record.evaluation.get("accuracy"), record.evaluation.get("ece")
        found = [
            *([f"accuracy {accuracy:.1%}"] if accuracy is not None else []),
            *([f"expected calibration error {ece:.3f}"] if ece is not None else []),
        ]
        parts.append(f"`python scripts/evaluate.py` measured: {', '.join(found)}.")
    return "\n\n".join(parts)


def _summary(summary: Mapping[str, Any], count: int) -> str:
    def share(value: float | None) -> str:
        if value is None:
            return "not a number |"
        low, high = wilson_interval(round(value * count), count)
        return f"{value:.1%} | {low:.1%} to {high:.1%}"

    def number(value: float | None) -> str:
        return "not a number |" if value is None else f"{value:.3f} |"

    return (
        f"On {count} validation pictures:\n\n"
        "| metric | value | 95% interval (Wilson) |\n|---|---:|---:|\n"
        f"| accuracy | {share(summary['val_acc'])} |\n"
        f"| top-3 accuracy | {share(summary['val_top3'])} |\n"
        f"| macro F1 | {number(summary['val_f1'])} |\n"
        f"| cross-entropy | {number(summary['val_loss'])} |\n"
        f"| accuracy after the last epoch | {share(summary['last_val_acc'])} |\n\n"
        f"This is epoch {summary['best_epoch']} of {summary['epochs']}, chosen for its loss on "
        "these very pictures: its numbers are a little too good. The accuracy after the last "
        "epoch was not chosen."
    )


def _calibration(record: Record | None, temperature: float) -> str:
    if temperature == 1:
        return (
            "Not calibrated: the probabilities may be too sure of themselves. "
            "`python scripts/evaluate.py calibrate=true` fits a temperature (Guo et al. 2017)."
        )
    ece = record.evaluation.get("ece") if record else None
    measured = "" if ece is None else f" Expected calibration error on record: {ece:.3f}."
    return (
        f"The logits are divided by the temperature {temperature:.3f}, fitted on held-out pictures "
        f"(Guo et al. 2017), before the softmax.{measured}"
    )


def _limits(record: Record | None, classifier: FishClassifier) -> str:
    trained_on = "the pictures above" if record else "pictures that are not on record"
    lines = [
        f"- It knows only these {len(classifier.classes)} classes. Every picture gets one of them, "
        "also a picture of another fish or of no fish, and perhaps with a high probability.",
        f"- It was trained on {trained_on}. On pictures of another camera, background or place it "
        "may be much worse than the metrics say.",
        "- It is meant for learning, for comparing recipes and for sorting pictures that a person "
        "looks through. Nothing that matters to somebody should rest on its answer alone.",
    ]
    if record and record.config["data"]["name"] == "synthetic":
        lines.append("- It has seen drawn fish only: of photographs it knows nothing.")
    if record and record.diagnosis:
        lines.append("- The curves of its training say:")
        lines += [f"  - {verdict}" for verdict in record.diagnosis]
    return "\n".join(lines)


def _where_it_looks(sheet: str | None) -> str:
    if sheet is None:
        return "No sheet: no pictures with known classes were at hand."
    return (
        f"![Validation pictures, Grad-CAM and overlay]({sheet})\n\nGrad-CAM (Selvaraju et al. "
        "2017) of validation pictures: original, heat map, overlay. If the red lies beside the "
        "fish, the network has learned the background. Percentages are before calibration."
    )


def _versions(record: Record | None, made_with: Mapping[str, str]) -> str:
    trained = dict(record.versions) if record else {}
    rows = [
        f"| {name} | {trained.get(name, '')} | {made_with.get(name, '')} |"
        for name in {**made_with, **trained}
    ]
    return "\n".join(["| | trained with | exported with |", "|---|---|---|", *rows])
