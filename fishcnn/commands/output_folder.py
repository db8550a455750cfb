"""The folder that a command writes to: one command at a time, and all of its files or none."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from omegaconf import DictConfig

from fishcnn.commands.command_line import retyped
from fishcnn.utils import stopping
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import Unwritable, made_folder, regular_target, unwritable, write_bytes
from fishcnn.utils.lock import locked
from fishcnn.utils.machine import user_path

# A page or a card says that the files beside it are there, so it comes last.
_PAGES = (".html", ".md")
_UNFINISHED = ".unfinished"


class _Begun:
    """Of this process."""

    folders: frozenset[Path] = frozenset()  # into which new files were being moved


def nothing_written(place: Path) -> Callable[[], str]:
    """What to say when a signal ends a command that writes to ``place`` at its end.

    For :func:`~fishcnn.utils.stopping.telling`.
    """

    def line() -> str:
        again = f"to begin again: {retyped({})}"
        if place in _Begun.folders:
            return f"; {place} may hold only some of the new files; {again}"
        return f"; nothing was written to {place}; {again}"

    return line


def name_of_data(data: DictConfig, if_packed: str) -> str:
    """What a folder is called of what is made of images: as theirs, or as they come from.

    Args:
        data: the group ``data``.
        if_packed: what is wrong with packed images, and what to do.

    Raises:
        FishError: they are packed.
    """
    if data.name == "stream":
        raise FishError(f"data.root={data.root} {if_packed}")
    return user_path(data.root).resolve().name if data.name == "folder" else str(data.name)


@contextmanager
def output_folder(named: str | None, default: Path) -> Iterator[Path]:
    """Make the folder ``output=``, or the default, and keep other commands out of it.

    Called before the first expensive step. Where that fails, a folder that was made here and holds
    nothing is removed.

    Yields:
        The folder, absolute.

    Raises:
        FishError: it cannot be made or written to, something else has its name, or another command
            is writing to it.
    """
    folder = user_path(named).absolute() if named else default.absolute()
    if os.path.lexists(folder) and not folder.is_dir():
        raise FishError(f"output={folder} is not a folder: choose another one by output=")
    with ExitStack() as stack:
        try:
            stack.enter_context(new_folder(folder))
            stack.enter_context(locked(folder))
            _Begun.folders -= {folder}
            stack.enter_context(stopping.telling(nothing_written(folder)))
        except (OSError, Unwritable) as error:
            raise _refused(folder, error) from error
        yield folder


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make a folder if it is not there, and remove it again if it is empty when that fails.

    Raises:
        FishError: it cannot be made.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        made_folder(folder)
        yield
    except BaseException:
        for one in missing:
            with suppress(OSError):  # it is gone, or something lies in it
                one.rmdir()
        raise


def nothing() -> Iterable[Path]:
    """No file of an earlier command."""
    return ()


@contextmanager
def all_or_nothing(output: Path, earlier: Callable[[], Iterable[Path]] = nothing) -> Iterator[Path]:
    """Give a hidden folder to write to, and move all files from there when they are whole.

    It lies inside the output folder, on the same file system. Whatever goes wrong before, the
    output folder stays as it was; pages are moved last.

    Args:
        output: an :func:`output_folder`.
        earlier: the files of an earlier command, which are removed before the new ones come.

    Yields:
        The hidden folder, empty. What a command that was killed has left there is gone.

    Raises:
        FishError: the disk is full or may not be written to.
    """
    unfinished = output / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir()
        yield unfinished
        files = [path for path in unfinished.rglob("*") if path.is_file()]
        files.sort(key=lambda file: (file.suffix in _PAGES, file))
        for file in files:
            regular_target(output / file.relative_to(unfinished))
        _Begun.folders |= {output}
        for file in earlier():
            file.unlink(missing_ok=True)
        for file in files:
            target = output / file.relative_to(unfinished)
            target.parent.mkdir(exist_ok=True)
            if target.is_symlink():
                write_bytes(target, file.read_bytes())  # perhaps on another file system
            else:
                file.replace(target)
    except (OSError, Unwritable) as error:
        written = sum(path.stat().st_size for path in unfinished.rglob("*") if path.is_file())
        shutil.rmtree(unfinished, ignore_errors=True)  # what is free is told without it
        raise _refused(output, error, written) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _refused(folder: Path, error: OSError | Unwritable, written: int = 0) -> FishError:
    if isinstance(error, Unwritable):
        written += error.wanted or 0
        error = error.error
    return FishError(f"{unwritable(folder, error, wanted=written)} by output=")
