"""Where the images come from: a folder, a download, or the renderer."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from fishcnn.data.image_folder import LAYOUTS
from fishcnn.data.rendering.synthetic import SETTINGS, ensure_synthetic
from fishcnn.utils.checks import check_arguments, choice, optional, path, whole
from fishcnn.utils.errors import ArgumentError
from fishcnn.utils.machine import cache_folder, usable_cpus, user_path

_BENGALI = "neloybarman018/bengali-fish-images-dataset"


class Folders(NamedTuple):
    """An image folder on disk."""

    root: Path  # one folder a class below it
    masks_root: Path | None  # a fish mask for each image, at the same relative path with .png
    layout: str = "auto"  # as scan_folder() takes it


class Source(Protocol):
    """Something that can put an image folder on disk."""

    def folders(self) -> Folders:
        """Make sure that the images are there, and say where."""
        ...


@dataclass(frozen=True)
class FolderSource:
    """The user's own folder of images, and that of their masks.

    Attributes:
        layout: how the folders are understood, see
            :func:`~fishcnn.data.image_folder.scan_folder`.

    Raises:
        ArgumentError: there is no such layout.
    """

    root: str | Path
    masks_root: str | Path | None = None
    layout: str = "auto"

    def __post_init__(self) -> None:
        """Check what can be checked before the folders are looked at.

        Raises:
            ArgumentError: one of them is not a path, or there is no such layout.
        """
        wanted = {"root": path, "masks_root": optional(path), "layout": choice(*LAYOUTS)}
        check_arguments(vars(self), wanted)

    def folders(self) -> Folders:
        """Check that the masks have a folder; that of the images is checked when it is scanned.

        Raises:
            ArgumentError: ``masks_root`` is not a folder.
        """
        masks_root = user_path(self.masks_root) if self.masks_root else None
        if masks_root and not masks_root.is_dir():
            raise ArgumentError("masks_root", masks_root, "is not a folder")
        return Folders(user_path(self.root), masks_root, self.layout)


@dataclass(frozen=True)
class BengaliFishSource:
    """The Kaggle data set "Bengali Fish Images": 20 classes, at ``root`` or else downloaded."""

    root: str | Path | None = None

    def __post_init__(self) -> None:
        """Check that the root is a path, or raise an ArgumentError."""
        check_arguments(vars(self), {"root": optional(path)})

    def folders(self) -> Folders:
        """Download the data set on first use; kagglehub keeps it in its own cache.

        Raises:
            ArgumentError: kagglehub is not installed, or the download failed.
        """
        root = user_path(self.root) if self.root else self._download()
        nested = root / "fish_images"
        return Folders(nested if nested.is_dir() else root, None)

    def _download(self) -> Path:
        ways = (
            "Two ways to get it: pip install kagglehub and run again with a network connection; or "
            f"download https://www.kaggle.com/datasets/{_BENGALI} in a browser, unpack it, and "
            "name its folder here"
        )
        try:
            import kagglehub
        except ImportError as error:
            problem = f"the Bengali fish need the package kagglehub. {ways}"
            raise ArgumentError("root", None, problem) from error
        except RuntimeError as error:  # there is no home folder
            problem = f"the package kagglehub cannot be used: {error} {ways}"
            raise ArgumentError("root", None, problem) from error
        try:
            return Path(kagglehub.dataset_download(_BENGALI))
        except Exception as error:  # kagglehub passes on whatever its transports raise
            problem = f"the Bengali fish could not be downloaded: {error}. {ways}"
            raise ArgumentError("root", None, problem) from error


@dataclass(frozen=True)
class SyntheticSource:
    """Rendered fish with masks, with the arguments of ``ensure_synthetic()``.

    Attributes:
        cache_root: see :func:`~fishcnn.utils.machine.cache_folder`.
        workers: None for one a processor.
    """

    species: int = 20
    images_per_class: int = 200
    long_side: int = 160
    shortcut: float = 0.0
    seed: int = 0
    cache_root: str | Path | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ArgumentError: an attribute is out of range.
        """
        places = {"cache_root": optional(path), "workers": optional(whole(0, 1024))}
        check_arguments(vars(self), SETTINGS | places)

    def folders(self) -> Folders:
        """Draw the images on first use."""
        folder = ensure_synthetic(
            cache_folder(self.cache_root),
            species=self.species,
            images_per_class=self.images_per_class,
            long_side=self.long_side,
            shortcut=self.shortcut,
            seed=self.seed,
            workers=usable_cpus() if self.workers is None else self.workers,
        )
        return Folders(folder / "pictures", folder / "masks")
