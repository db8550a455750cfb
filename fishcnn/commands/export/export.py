"""The export job: write a trained network to files, compare each with it, describe it in a card."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from fishcnn.commands.export.agreement import TOLERANCE, Agreement, compare
from fishcnn.commands.export.exported_classifier import ExportedClassifier, metadata_of
from fishcnn.commands.export.formats import FORMATS, check_formats, package_versions
from fishcnn.commands.export.model_card import model_card
from fishcnn.commands.figures import save_figure
from fishcnn.commands.settings import plain
from fishcnn.commands.trained_run import (
    find_trained,
    load_trained,
    run_config,
    run_datamodule,
    run_folder,
)
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.decoding.resize import resize
from fishcnn.data.image_folder import IMAGE_SUFFIXES
from fishcnn.models.classifier import FishClassifier
from fishcnn.training.callbacks.grad_cam import GradCam
from fishcnn.utils.errors import FishError
from fishcnn.utils.versions import versions

# On how many pictures a file is compared with its network.
_COMPARED = 64
_CARD, _SHEET, _RESULTS = "MODEL_CARD.md", "grad_cam.png", "export.json"


@dataclass(frozen=True)
class _Compared:
    """Real pictures to compare on.

    Attributes:
        images: uint8 ``(N, S, S, 3)``, N from 1 to 64.
        source: where they come from, for the card.
        datamodule: of the run, where they come from there.
    """

    images: NDArray[np.uint8]
    source: str
    datamodule: FishDataModule | None


def export(config: DictConfig) -> None:
    """Write a trained network to files that have been compared with it, all of them or none.

    Args:
        config: ``conf/export.yaml``.

    Raises:
        FishError: there is no such checkpoint or format, a package or the pictures are missing, or
            a file does not agree with the network.
    """
    formats = [config.formats] if isinstance(config.formats, str) else list(config.formats or [])
    check_formats(formats)
    checkpoint = find_trained(config.ckpt, Path(config.runs))
    output = _output_folder(config.output, checkpoint)
    # On the CPU, whatever is there: the files are compared where they can run anywhere.
    classifier = load_trained(checkpoint, torch.device("cpu"))
    compared = _pictures(config.input, classifier, checkpoint)
    try:
        # In the same file system, so that moving is renaming.
        staging = TemporaryDirectory(dir=output, prefix=".unverified-")
    except OSError as error:
        raise FishError(f"output={output}: cannot be written to: {error.strerror}") from error
    with staging as name:
        folder = Path(name)
        agreements = _write_and_compare(classifier, formats, compared.images, folder)
        sizes = {name: (folder / FORMATS[name].file).stat().st_size for name in formats}
        sheet = _sheet(classifier, checkpoint, compared.datamodule)
        if sheet:
            save_figure(sheet, folder / _SHEET)
        made_with = {**versions(), **package_versions(formats)}
        card = model_card(
            classifier,
            checkpoint,
            agreements=agreements,
            sizes=sizes,
            compared_on=compared.source,
            sheet=_SHEET if sheet else None,
            made_with=made_with,
        )
        (folder / _CARD).write_text(card, encoding="utf-8")
        results = _results(classifier, checkpoint, compared, agreements, sizes, made_with)
        (folder / _RESULTS).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        for file in sorted(folder.iterdir()):
            os.replace(file, output / file.name)
    _print(output, agreements, sizes)


def _output_folder(named: str | None, checkpoint: Path) -> Path:
    """Make the folder for the files before the first expensive step."""
    inside = run_folder(checkpoint) or checkpoint.parent
    output = Path(named).expanduser() if named else inside / "export"
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FishError(f"output={output}: no such folder can be made: {error.strerror}") from error
    return output.resolve()


def _pictures(named: str | None, classifier: FishClassifier, checkpoint: Path) -> _Compared:
    """Real pictures, decoded as those of the training were."""
    if named is not None:
        files = _picture_files(Path(named).expanduser())
        images = np.stack([classifier.decode(files[row]) for row in _spread(len(files))])
        return _Compared(images, "pictures named by input=", None)
    run_config(checkpoint)  # its own error says what to do
    try:
        datamodule = run_datamodule(checkpoint)
    except FishError as error:
        raise FishError(
            f"the pictures of the run, on which the files are compared with the network, cannot "
            f"be read: {error} Or name other pictures by input=/path/to/pictures"
        ) from error
    if datamodule.classes != classifier.classes:
        raise FishError(
            f"data.root has the classes {', '.join(datamodule.classes)} by now, and the run was "
            f"trained on {', '.join(classifier.classes)}: name pictures by input=/path/to/pictures"
        )
    rows = datamodule.split.val[_spread(len(datamodule.split.val))]
    return _Compared(datamodule.images.pixels[rows], "validation pictures", datamodule)


def _picture_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        found = "holds no picture" if path.is_dir() else "does not exist"
        raise FishError(f"input={path} {found}: wanted a picture or a folder of pictures")
    return files


def _spread(count: int) -> list[int]:
    """At most 64 of so many positions, evenly spread, so that every class has its share."""
    positions = np.linspace(0, count - 1, min(count, _COMPARED)).round()
    return [int(position) for position in positions]


def _write_and_compare(
    classifier: FishClassifier, formats: Sequence[str], images: NDArray[np.uint8], folder: Path
) -> dict[str, Agreement]:
    """Write each format, read it back in its own runtime and compare it with the network.

    Raises:
        FishError: a file cannot be written or does not agree.
    """
    module, metadata = ExportedClassifier.of(classifier), metadata_of(classifier)
    with torch.inference_mode():
        batch = resize(torch.from_numpy(images), classifier.image_size)
        expected = classifier.probabilities(batch).numpy()
    agreements = {}
    for name in formats:
        path = folder / FORMATS[name].file
        try:
            FORMATS[name].write(module, metadata, path)
            loaded = FORMATS[name].read(path)
            if not metadata.items() <= loaded.metadata.items():
                raise ValueError("its metadata did not come back as they were written")
            agreement = compare(loaded, images, expected)
        except Exception as error:  # exporters and runtimes raise almost any type
            raise FishError(
                f"formats: {name} does not work with this network, nothing was exported: "
                f"{type(error).__name__}: {str(error).strip()[:500]}{_without(name, formats)}"
            ) from error
        if not agreement.good:
            raise FishError(
                f"formats: {name} was refused and nothing was exported: on {agreement.pictures} "
                f"pictures it names the same class as the network for {agreement.same_top1}, and "
                f"its probabilities are up to {agreement.max_abs_difference:.2g} off (at most "
                f"{TOLERANCE:g} is allowed){_without(name, formats)}"
            )
        agreements[name] = agreement
    return agreements


def _without(name: str, formats: Sequence[str]) -> str:
    others = ",".join(other for other in formats if other != name)
    return f". Without it: formats=[{others}]" if others else ""


def _sheet(
    classifier: FishClassifier, checkpoint: Path, datamodule: FishDataModule | None
) -> Figure | None:
    """Grad-CAM of the validation pictures that the run has shown; None without them."""
    if datamodule is None:
        return None
    settings = plain(run_config(checkpoint).callbacks.grad_cam)
    settings.pop("enabled")
    return GradCam(**settings).sheet(classifier, datamodule, "Grad-CAM on validation pictures")


def _results(
    classifier: FishClassifier,
    checkpoint: Path,
    compared: _Compared,
    agreements: Mapping[str, Agreement],
    sizes: Mapping[str, int],
    made_with: Mapping[str, str],
) -> dict[str, object]:
    """The content of ``export.json``."""
    return {
        "checkpoint": str(checkpoint),
        "classes": classifier.classes,
        "temperature": float(classifier.temperature),
        "compared_on": compared.source,
        "tolerance": TOLERANCE,
        "formats": {
            name: {"file": FORMATS[name].file, "bytes": sizes[name], **asdict(agreement)}
            for name, agreement in agreements.items()
        },
        "versions": made_with,
    }


def _print(output: Path, agreements: Mapping[str, Agreement], sizes: Mapping[str, int]) -> None:
    console = Console()
    table = Table(title="Exported, read again and compared with the network")
    for column in ("format", "file"):
        table.add_column(column, no_wrap=True)
    for column in ("size", "max abs diff.", "same top-1", "ms a picture"):
        table.add_column(column, justify="right")
    for name, agreement in agreements.items():
        table.add_row(
            name,
            FORMATS[name].file,
            f"{sizes[name] / 1e6:.2f} MB",
            f"{agreement.max_abs_difference:.1e}",
            f"{agreement.same_top1} of {agreement.pictures}",
            f"{agreement.milliseconds:.2f}",
        )
    console.print(table)
    # Paths are printed raw: a table would cut them, and they are there to be copied.
    for name in (_CARD, _RESULTS):
        console.print(f"{output / name}", soft_wrap=True, markup=False, highlight=False)
