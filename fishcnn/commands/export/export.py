"""Write a trained network to files, compare each with it, and describe it in a card."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.table import Column, Table

from fishcnn.commands.export.agreement import TOLERANCE, compare
from fishcnn.commands.export.exported_classifier import ExportedClassifier, metadata_of
from fishcnn.commands.export.formats import FORMATS, check_formats, package_versions
from fishcnn.commands.export.model_card import model_card
from fishcnn.commands.export.preparation import compare_files
from fishcnn.commands.figures import save_figure
from fishcnn.commands.image_paths import image_paths
from fishcnn.commands.images_of_run import run_datamodule, warn_unused
from fishcnn.commands.output_folder import all_or_nothing, output_folder
from fishcnn.commands.run_files import read_config
from fishcnn.commands.settings import check_settings, plain
from fishcnn.commands.terminal import Terminal, print_raw
from fishcnn.commands.trained_run import (
    find_trained,
    load_trained,
    run_of,
)
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.decoding.resize import resize
from fishcnn.models.classifier import FishClassifier
from fishcnn.training.callbacks.grad_cam import GRAD_CAM_SETTINGS, GradCam
from fishcnn.utils.checks import choice, either, several
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import Unwritable, write_text
from fishcnn.utils.progress import waiting
from fishcnn.utils.run_folder import EXPORT_RESULTS, EXPORT_SHEET, MODEL_CARD, RunFolder
from fishcnn.utils.text import same_names
from fishcnn.utils.versions import versions

log = logging.getLogger(__name__)

# On how many images a file is compared with its network.
_COMPARED = 64


_WANTED = {"formats": either(choice(*FORMATS), several(choice(*FORMATS)))}


def check_export(config: DictConfig) -> None:
    """Check the settings of an export, or raise a FishError that names one."""
    check_settings(config, _WANTED)
    check_formats(_formats(config))


def _formats(config: DictConfig) -> list[str]:
    return [config.formats] if isinstance(config.formats, str) else list(config.formats)


def export(config: DictConfig) -> None:
    """Write a trained network to files that have been compared with it, all of them or none.

    Raises:
        FishError: there is no such checkpoint or format, a package or the images are missing, or
            a file does not agree with the network.
    """
    check_export(config)
    formats = _formats(config)
    checkpoint = find_trained(config.ckpt, Path(config.runs))
    run = RunFolder.of(checkpoint) or RunFolder(checkpoint.parent)
    with output_folder(config.output, run.export) as output:
        files = _export(config, formats, checkpoint, output)
    _print(output, files)


def _export(
    config: DictConfig, formats: Sequence[str], checkpoint: Path, output: Path
) -> dict[str, dict[str, Any]]:
    """Write everything, and return the numbers of each format."""
    # On the CPU, whatever is there: the files are compared where they can run anywhere.
    classifier = load_trained(checkpoint, torch.device("cpu"))
    images, paths, datamodule = _images(config, classifier, checkpoint)
    expected = _probabilities(classifier, images)
    from_files = compare_files(classifier, paths, expected)
    compared_on = "images named by input=" if datamodule is None else "validation images"
    with all_or_nothing(output) as folder:
        files = _write_and_compare(classifier, formats, images, expected, folder)
        if datamodule is not None:
            drawn = _grad_cam(checkpoint)
            title = "Grad-CAM on validation images"
            sheet = drawn.sheet(classifier, datamodule, title)
            save_figure(sheet, folder / EXPORT_SHEET)
        made_with = {**versions(), **package_versions(formats)}
        card = model_card(
            classifier,
            checkpoint,
            files=files,
            compared_on=compared_on,
            from_files=from_files,
            sheet=None if datamodule is None else EXPORT_SHEET,
            made_with=made_with,
        )
        write_text(folder / MODEL_CARD, card)
        results = {
            "checkpoint": str(checkpoint),
            "classes": classifier.classes,
            "temperature": float(classifier.temperature),
            "compared_on": compared_on,
            "tolerance": TOLERANCE,
            "prepared_from_files": asdict(from_files),
            "formats": files,
            "versions": made_with,
        }
        write_text(folder / EXPORT_RESULTS, json.dumps(results, indent=1) + "\n")
    return files


def _images(
    config: DictConfig, classifier: FishClassifier, checkpoint: Path
) -> tuple[NDArray[np.uint8], list[Path], FishDataModule | None]:
    """1 to 64 real images to compare on, uint8, their files, and the run's data if they are of it.

    They are prepared as predict does.
    """
    if config.input is not None:
        warn_unused(config.data)
        found = list(image_paths(config.input))
        if not found:
            raise FishError(f"input={config.input}: no image found")
        paths = [Path(found[row]) for row in _spread(len(found))]
        return np.stack([classifier.decode(path) for path in paths]), paths, None
    read_config(run_of(checkpoint))  # its own error says what to do
    try:
        datamodule = run_datamodule(checkpoint, config.data)
    except FishError as error:
        raise FishError(
            f"{error}. The exported files are compared with the network on these images; to use "
            "others, add input=/path/to/images"
        ) from error
    if not same_names(datamodule.classes, classifier.classes):
        raise FishError(
            f"data.root now has the classes {', '.join(datamodule.classes)}, but the run was "
            f"trained on {', '.join(classifier.classes)}: name images by input=/path/to/images"
        )
    rows = datamodule.split.val[_spread(len(datamodule.split.val))]
    paths = [datamodule.images.index.root / datamodule.images.paths[row] for row in rows.tolist()]
    return datamodule.images.pixels[rows], paths, datamodule


def _grad_cam(checkpoint: Path) -> GradCam:
    """What draws the maps as in the training; by default where its settings are damaged."""
    settings = read_config(run_of(checkpoint)).callbacks.get("grad_cam")
    known = plain(settings) if isinstance(settings, DictConfig) else {}
    try:
        return GradCam(**{name: known[name] for name in GRAD_CAM_SETTINGS if name in known})
    except FishError as error:
        log.warning("%s: Grad-CAM is drawn with the default settings.", error)
        return GradCam()


def _spread(count: int) -> list[int]:
    """At most 64 of so many positions, evenly spread, so that every class has its share."""
    positions = np.linspace(0, count - 1, min(count, _COMPARED)).round()
    return [int(position) for position in positions]


def _probabilities(classifier: FishClassifier, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    with torch.inference_mode():
        batch = resize(torch.from_numpy(images), classifier.image_size)
        return classifier.probabilities(batch).numpy()


def _write_and_compare(
    classifier: FishClassifier,
    formats: Sequence[str],
    images: NDArray[np.uint8],
    expected: NDArray[np.float32],
    folder: Path,
) -> dict[str, dict[str, Any]]:
    """Write each format, read it back in its own runtime and compare it with the network."""
    module, metadata = ExportedClassifier(classifier), metadata_of(classifier)
    files = {}
    for name in formats:
        path = folder / FORMATS[name].file
        others = ",".join(other for other in formats if other != name)
        others = others and f". Without it: formats=[{others}]"
        try:
            with waiting(f"Writing {name} and comparing it with the network"):
                FORMATS[name].write(module, metadata, path)
                loaded = FORMATS[name].read(path)
                if not metadata.items() <= loaded.metadata.items():
                    raise ValueError("its metadata came back changed")
                agreement = compare(loaded, images, expected)
        except (OSError, Unwritable):  # of the disk, not of the network
            raise
        except Exception as error:  # exporters and runtimes raise almost any type
            raise FishError(
                f"formats: {name} cannot be written for this network, so nothing was exported: "
                f"{type(error).__name__}: {str(error).strip()[:500]}{others}"
            ) from error
        if not agreement.good:
            raise FishError(
                f"formats: {name} does not agree with the network, so nothing was exported: on "
                f"{agreement.pictures} images it names the same class as the network for "
                f"{agreement.same_top1}, and its probabilities are up to "
                f"{agreement.max_abs_difference:.2g} off ({TOLERANCE:g} is allowed){others}"
            )
        files[name] = {"file": path.name, "bytes": path.stat().st_size, **asdict(agreement)}
    return files


def _print(output: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    console = Terminal()
    numbers = ("size", "largest difference", "same first class", "ms per image")
    table = Table(
        *(Column(name, no_wrap=True) for name in ("format", "file")),
        *(Column(name, justify="right") for name in numbers),
        title="Exported, read again and compared with the network",
    )
    for name, file in files.items():
        table.add_row(
            name,
            file["file"],
            f"{file['bytes'] / 1e6:.2f} MB",
            f"{file['max_abs_difference']:.1e}",
            f"{file['same_top1']} of {file['pictures']}",
            f"{file['milliseconds']:.2f}",
        )
    console.print(table)
    print_raw(console, (output / MODEL_CARD, output / EXPORT_RESULTS))
