"""What the machine that this runs on offers."""

import math
import os
import sys
from pathlib import Path

from fishcnn.utils.errors import ArgumentError, FishError

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
# Names a variable of the environment: how many processors are left to a job that others run beside.
CPUS = "FISHCNN_CPUS"


def usable_cpus() -> int:
    """Processors that this process may use; a container or a scheduler may have given it a few."""
    given = given_cpus()
    share = cpu_share(_CGROUPS, _OWN_CGROUPS)
    usable = given if share is None else max(1, min(given, math.ceil(share)))
    left = os.environ.get(CPUS, "")
    return min(usable, int(left)) if left.isdecimal() and int(left) else usable


def given_cpus() -> int:
    """Processors that this process may run on, however little of their time is its own."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_share(cgroups: Path, own: Path) -> float | None:
    """How many processors' time Linux gives to the container of this process; None for no limit.

    Args:
        cgroups: where the file system of the control groups is mounted.
        own: the list of the groups that this process is in.
    """
    try:
        entries = [line.split(":", 2) for line in own.read_text().splitlines()]
    except (OSError, ValueError):  # not Linux
        return None
    limits = []
    for _, controllers, path in (entry for entry in entries if len(entry) == 3):
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Within a container the path may be that of the host, which is not seen there.
        root = cgroups / "cpu" if controllers else cgroups
        inner = root / path.lstrip("/")
        for folder in (inner, *inner.parents):
            if folder.is_relative_to(root):
                limits += _limits(folder)
    return min(limits, default=None)


def _limits(folder: Path) -> list[float]:
    """The limit of one control group, of either version; none if it has none."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        return [int(quota) / int(period)] if int(quota) > 0 else []
    except (OSError, ValueError, ZeroDivisionError):  # the word max, say
        return []


def user_path(typed: str | os.PathLike[str]) -> Path:
    """A path as somebody has typed it, in which ``~`` is the home folder.

    Raises:
        FishError: there is no home folder.
    """
    try:
        return Path(typed).expanduser()
    except RuntimeError as error:
        problem = "there is no such home folder; type a path without ~, or set HOME"
        raise FishError(f"{os.fspath(typed)}: {problem}") from error


def cache_folder(root: str | Path | None = None) -> Path:
    """Where decoded and rendered images are kept; ``~`` in ``root`` is the home folder.

    None is the environment variable ``FISHCNN_CACHE``, or else ``~/.cache/fishcnn``.

    Raises:
        ArgumentError: there is no home folder.
    """
    folder = root or os.environ.get("FISHCNN_CACHE") or "~/.cache/fishcnn"
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        problem = "there is no home folder; name another one, here or by FISHCNN_CACHE=/path"
        raise ArgumentError("cache_root", folder, problem) from error
