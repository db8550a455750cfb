"""Where the pictures come from: a folder, a download, or the renderer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fishcnn.data.rendering.synthetic import ensure_synthetic
from fishcnn.utils.errors import FishError

BENGALI_FISH = "neloybarman018/bengali-fish-images-dataset"


@dataclass(frozen=True)
class Folders:
    """An image folder on disk.

    Attributes:
        root: one folder a class below it.
        masks_root: a fish mask for each picture below it, at the same relative path with the
            suffix .png; or None.
    """

    root: Path
    masks_root: Path | None


class Source(Protocol):
    """Something that can put an image folder on disk."""

    def folders(self) -> Folders:
        """Make sure that the pictures are there, and say where."""
        ...


@dataclass(frozen=True)
class FolderSource:
    """The user's own folder.

    Attributes:
        root: ``data.root``.
        masks_root: ``data.masks_root``.
    """

    root: str | None
    masks_root: str | None

    def folders(self) -> Folders:
        """Check that both settings name a folder.

        Raises:
            FishError: ``data.root`` is not set, or ``data.masks_root`` is no folder.
        """
        if not self.root:
            raise FishError("data.root is not set: add data.root=/path/to/pictures")
        masks_root = Path(self.masks_root).expanduser() if self.masks_root else None
        if masks_root and not masks_root.is_dir():
            raise FishError(f"data.masks_root={masks_root} is no folder")
        return Folders(Path(self.root).expanduser(), masks_root)


@dataclass(frozen=True)
class BengaliFishSource:
    """The Kaggle data set "Bengali Fish Pixels": 20 classes.

    Attributes:
        root: where it is already on disk, or None to download it.
    """

    root: str | None

    def folders(self) -> Folders:
        """Download the data set on first use; kagglehub keeps it in its own cache.

        Raises:
            FishError: kagglehub is not installed, or the download failed.
        """
        root = Path(self.root).expanduser() if self.root else self._download()
        nested = root / "fish_images"
        return Folders(nested if nested.is_dir() else root, None)

    def _download(self) -> Path:
        ways = (
            "Two ways to get it: pip install -e '.[kaggle]' and run again with a network "
            f"connection; or download https://www.kaggle.com/datasets/{BENGALI_FISH} in a "
            "browser, unpack it, and add data.root=/path/to/it"
        )
        try:
            import kagglehub
        except ImportError as error:
            raise FishError(f"data=bengali_fish needs the package kagglehub. {ways}") from error
        try:
            return Path(kagglehub.dataset_download(BENGALI_FISH))
        except Exception as error:  # kagglehub passes on whatever its transports raise
            raise FishError(
                f"data=bengali_fish could not be downloaded: {error}. {ways}"
            ) from error


@dataclass(frozen=True)
class SyntheticSource:
    """Rendered fish with masks; see :func:`fishcnn.data.rendering.synthetic.ensure_synthetic`.

    Attributes:
        cache: folder that keeps rendered data sets.
        species: number of classes, 2 to 20.
        pictures_per_class: pictures of each.
        long_side: longer side of the pictures in pixels.
        shortcut: share of the pictures with a class-correlated marker in the background.
        seed: of the drawing.
        workers: processes that draw.
    """

    cache: str
    species: int
    pictures_per_class: int
    long_side: int
    shortcut: float
    seed: int
    workers: int

    def folders(self) -> Folders:
        """Draw the pictures on first use."""
        folder = ensure_synthetic(
            Path(self.cache).expanduser(),
            species=self.species,
            pictures_per_class=self.pictures_per_class,
            long_side=self.long_side,
            shortcut=self.shortcut,
            seed=self.seed,
            workers=self.workers,
        )
        return Folders(folder / "pictures", folder / "masks")
