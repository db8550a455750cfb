"""Packs a folder of images, split and decoded as a training does it, into shards."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig

from fishcnn.commands.build import build_datamodule, prepare_images
from fishcnn.commands.command_line import another
from fishcnn.commands.output_folder import all_or_nothing, name_of_data, output_folder
from fishcnn.commands.settings import as_settings, check_settings
from fishcnn.commands.terminal import Terminal, print_raw
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.streaming.packed_files import check_litdata
from fishcnn.data.streaming.packed_images import (
    FINGERPRINTS,
    INDEX,
    MANIFEST,
    SPLITS,
    read_manifest,
)
from fishcnn.data.streaming.packing import bytes_to_write, pack_images, pack_name
from fishcnn.utils.checks import number
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import megabytes, write_text

# Litdata counts the bytes of a shard in 32 bits.
_WANTED = {"shard_mb": number(0, 4000, above=True)}
_OWN = re.compile(
    rf"{MANIFEST}|{INDEX}|{SPLITS}|{FINGERPRINTS}"
    r"|(train|val|test)/(chunk-0-\d+\.bin|index\.json)"
)


def check_pack_data(config: DictConfig) -> FishDataModule:
    """Check the settings of a packing, or raise a FishError that names one."""
    check_settings(config, _WANTED)
    return build_datamodule(config)


def pack_data(config: DictConfig) -> None:
    """Write packed images as ``conf/pack_data.yaml`` says, all of them or nothing.

    Typed again after it was stopped, it begins again, with what is decoded already; what it has
    packed stays as it is.

    Raises:
        FishError: a setting or the data is at fault, litdata is missing, the disk is full, or
            something else lies in the output folder; the message says which.
    """
    datamodule = check_pack_data(config)
    name = name_of_data(config.data, "is packed already: name an image folder")
    with as_settings():
        check_litdata("data", "stream")
    with output_folder(config.output, Path("packed") / name) as output:
        _check_own(output)
        prepare_images(datamodule)
        _pack(datamodule, output, int(config.shard_mb * 1e6))
    counts = [f"{len(rows)} {name}" for name, rows in vars(datamodule.split).items() if len(rows)]
    size = [f"data.image_size={datamodule.image_size}"]
    command = another("train", ["data=stream", f"data.root={output}", *size])
    lines = [
        f"packed   {output}: {', '.join(counts)}",
        f"to train {command}",
    ]
    print_raw(Terminal(), lines)


def _pack(datamodule: FishDataModule, output: Path, shard_bytes: int) -> None:
    images, splitting = datamodule.images, datamodule.splitting
    settings = datamodule.split_settings
    if (output / MANIFEST).is_file():
        pack = pack_name(images, splitting, settings, shard_bytes)
        if read_manifest(output / MANIFEST).pack == pack:
            return
        raise FishError(f"output={output} holds other packed images: choose a new folder")
    needed, free = bytes_to_write(images), shutil.disk_usage(output).free
    if needed > free:
        raise FishError(
            f"output={output}: {megabytes(needed)} are needed, {megabytes(free)} are free; choose "
            "a folder on another disk"
        )
    with all_or_nothing(output, lambda: _packed_files(output)) as folder:
        manifest = pack_images(images, splitting, settings, folder, shard_bytes=shard_bytes)
    write_text(output / MANIFEST, manifest.text())


def _packed_files(output: Path) -> Iterator[Path]:
    """What a packing has written into a folder, perhaps not all of it."""
    for file in output.rglob("*"):
        if file.is_file() and _OWN.fullmatch(file.relative_to(output).as_posix()):
            yield file


def _check_own(output: Path) -> None:
    """Refuse a folder that holds anything else."""
    own = set(_packed_files(output))
    for file in output.rglob("*"):
        parts = file.relative_to(output).parts
        if file not in own and not file.is_dir() and not parts[0].startswith("."):
            raise FishError(
                f"output={output} holds other files, such as {file}: choose a new folder"
            )
