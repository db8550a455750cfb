"""The files of packed images: in a folder, or on a server that speaks S3."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock

from fishcnn.utils.errors import ArgumentError, FishError
from fishcnn.utils.machine import user_path

S3 = "s3://"
# What a server that is not there is given before the person is told, instead of hours.
_ATTEMPTS, _SECONDS = 3, 10


def absolute_root(root: str, place: str = "") -> str:
    """A folder of images as somebody has typed it, as it is found from anywhere.

    Args:
        root: the folder; one on a server stays as it is.
        place: the folder that a relative path is meant from; "" where this process is.
    """
    return root if root.startswith(S3) else str(Path(place, user_path(root)).absolute())


class PackedFiles:
    """Files by their names, such as ``train/chunk-0-3.bin``, in a folder.

    Args:
        folder: of this machine, or one that is mounted.

    Attributes:
        place: where they are, as it was typed.
        remote: whether they are copied to this machine when they are wanted.
    """

    remote = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.place = str(folder)

    def path(self, name: str) -> Path:
        """Where a file lies on this machine, which takes a while if it is fetched for that.

        Raises:
            FishError: it is not there, or cannot be fetched.
        """
        path = self._folder / name
        if not path.is_file():
            raise FishError(f"{path} is missing: pack the images again, or restore it")
        return path

    def has(self, name: str) -> bool:
        """Whether a file is on this machine."""
        return (self._folder / name).is_file()

    def forget(self, name: str) -> bool:
        """Remove a file if it is a copy; returns whether there is another one to be had."""
        return False


class S3Files(PackedFiles):
    """On a server that speaks S3; copies are kept below a folder.

    Litdata's client takes the credentials that boto3 finds, in ``AWS_ACCESS_KEY_ID`` say. Its
    object store for shards refuses plain http, so that they are fetched as its other files are.

    Args:
        url: ``s3://bucket/prefix``.
        endpoint_url: of another server than Amazon's, http or https.
        cache: where copies are kept.
    """

    remote = True

    def __init__(self, url: str, endpoint_url: str | None, cache: Path) -> None:
        place = url.rstrip("/")
        key = blake2b(repr((place, endpoint_url)).encode(), digest_size=6).hexdigest()
        super().__init__(cache / "streamed" / key)
        self.place = place
        self._endpoint = endpoint_url
        self._downloader: Any = None

    def path(self, name: str) -> Path:
        """Fetch a file unless it is there; one process at a time fetches the same.

        Raises:
            FishError: it cannot be fetched, or not be kept.
        """
        path = self._folder / name
        if not path.is_file():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with FileLock(f"{path}.lock"):
                    if not path.is_file():
                        self._fetch(name, path)
            except OSError as error:
                problem = f"cannot be used ({error}); name a folder with more room"
                raise ArgumentError("cache_root", self._folder, problem) from error
        return path

    def anew(self, name: str) -> Path:
        """Fetch a file that may have changed on the server."""
        self.forget(name)
        return self.path(name)

    def forget(self, name: str) -> bool:
        """Remove the copy of a file."""
        # Its lock stays: beside who holds one that was removed, another would get a new one.
        with suppress(OSError):
            (self._folder / name).unlink(missing_ok=True)
        return True

    def keep_only(self, pack: str) -> None:
        """Remove copies of what was packed before by the same name."""
        mark = self._folder / "pack"
        if mark.is_file() and mark.read_text(encoding="ascii") == pack:
            return
        for entry in self._folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
        mark.write_text(pack, encoding="ascii")

    def _fetch(self, name: str, path: Path) -> None:
        unfinished = path.with_name(f".unfinished-{path.name}")
        try:
            with unfinished.open("wb") as stream:
                self._client().download_fileobj(f"{self.place}/{name}", stream)
            unfinished.replace(path)
        except (FishError, OSError):
            raise
        except Exception as error:  # what boto3 and its transports raise is of almost any type
            at = f" at {self._endpoint}" if self._endpoint else ""
            problem = (
                f"{name}{at} cannot be fetched: {error}. Check the address of the server "
                "(endpoint_url) and the credentials, in AWS_ACCESS_KEY_ID for one"
            )
            raise ArgumentError("root", self.place, problem) from error
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)

    def _client(self) -> Any:  # noqa: ANN401 - litdata has no types
        if self._downloader is None:
            with litdata_wanted("root", self.place):
                from botocore.config import Config
                from litdata.streaming.downloader import get_downloader

            patience = {"max_attempts": _ATTEMPTS, "mode": "standard"}
            options = {"config": Config(retries=patience, connect_timeout=_SECONDS)}
            if self._endpoint:
                options |= {"endpoint_url": self._endpoint}
            self._downloader = get_downloader(self.place, str(self._folder), [], options)
        return self._downloader


def packed_files(
    root: str | os.PathLike[str], endpoint_url: str | None, cache: Path
) -> PackedFiles:
    """The files of packed images at a place that somebody has typed.

    Raises:
        ArgumentError: there cannot be such a place.
    """
    place = os.fspath(root)
    if place.startswith(S3):
        if not re.match(r"s3://[^/]+", place):
            raise ArgumentError("root", place, "name a bucket as well: s3://bucket/folder")
        return S3Files(place, endpoint_url, cache)
    if "://" in place:
        raise ArgumentError("root", place, "is neither a folder nor s3://bucket/folder")
    if endpoint_url:
        problem = f"is for s3://bucket/folder, but root={place}: leave it out"
        raise ArgumentError("endpoint_url", endpoint_url, problem)
    return PackedFiles(user_path(place))


def check_litdata(name: str, value: object) -> None:
    """Check that litdata is installed, which takes long to import.

    Raises:
        ArgumentError: it is not.
    """
    with litdata_wanted(name, value):
        if find_spec("litdata") is None:
            raise ImportError("there is no such package")


@contextmanager
def litdata_wanted(name: str, value: object) -> Iterator[None]:
    """Say how to install litdata where an import fails that an argument has asked for.

    Raises:
        ArgumentError: it is not installed.
    """
    # It looks there when it is imported; nothing else of it writes outside the folders it is given.
    os.environ.setdefault("LITDATA_DISABLE_VERSION_CHECK", "1")
    try:
        yield
    except ImportError as error:
        problem = f'needs the package litdata: pip install -e ".[stream]" ({error})'
        raise ArgumentError(name, value, problem) from error
