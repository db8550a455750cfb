"""A folder of drawn images that is whole or not there."""

import io
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from PIL import Image

from fishcnn.utils.errors import FishError
from fishcnn.utils.files import unwritable
from fishcnn.utils.lock import locked


@contextmanager
def drawn_folder(final: Path, *, files: int) -> Iterator[Path]:
    """Give a hidden folder to draw into, which is called ``final`` when all is drawn.

    Where ``final`` is there already, the files drawn take the place of those of their names in it,
    each in one step. Several processes may draw the same at once, as they draw the same bytes. What
    one that was killed has left is removed.

    Args:
        final: where the folder will be, in a folder that is made if it is missing.
        files: how many will be drawn, for the message about a full disk.

    Yields:
        The hidden folder, beside ``final`` and empty.

    Raises:
        FishError: the disk is full or may not be written to; nothing stays behind.
    """
    growing = final.with_name(f".{final.name}-{uuid.uuid4().hex[:8]}")
    there = final.is_dir()
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        for left in final.parent.glob(f".{final.name}-????????"):
            with suppress(FishError), locked(_lock(left)):
                # It is gone where the other process has just given it its name.
                shutil.rmtree(left, ignore_errors=True)
        with locked(_lock(growing)):
            growing.mkdir()
            yield growing
            if there:
                _move_files(growing, final)
                return
            try:
                growing.replace(final)
            except OSError:  # Another process may have been quicker.
                if not final.is_dir():
                    raise
    except OSError as error:
        sizes = [path.stat().st_size for path in growing.rglob("*.*") if path.is_file()]
        shutil.rmtree(growing, ignore_errors=True)  # what is free is told without it
        wanted = sum(sizes) * files // max(1, len(sizes))
        raise unwritable(final, error, wanted=wanted) from error
    finally:
        shutil.rmtree(growing, ignore_errors=True)


def save_image(image: Image.Image, path: Path, **options: int) -> None:
    """Write an image in the format of its suffix; a full disk is an OSError that says so."""
    file = io.BytesIO()
    # Pillow does not pass on what the system says of a file.
    image.save(file, Image.registered_extensions()[path.suffix], **options)
    path.write_bytes(file.getbuffer())


def _move_files(source: Path, target: Path) -> None:
    """Move every file to its place below another folder; what is not in a folder comes last."""
    for file in sorted(source.rglob("*.*"), key=lambda file: -len(file.parts)):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.touch()  # so that the list is no older than the files it lists, which moving changes
        file.replace(place)


def _lock(growing: Path) -> Path:
    return growing.with_name(f"{growing.name}.drawn")
