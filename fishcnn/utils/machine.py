"""What the machine that this runs on offers."""

import os
import sys
from pathlib import Path


def usable_cpus() -> int:
    """Processors that this process may use; a container or a scheduler may have given it a few."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cache_folder(root: str | Path | None = None) -> Path:
    """Where decoded and rendered images are kept; ``~`` in ``root`` is the home folder.

    None is the environment variable ``FISHCNN_CACHE``, or else ``~/.cache/fishcnn``.
    """
    return Path(root or os.environ.get("FISHCNN_CACHE") or "~/.cache/fishcnn").expanduser()
