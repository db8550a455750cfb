"""Measuring in a process of its own: nothing is warmed by, or pays for, what ran before."""

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fishcnn.utils.errors import FishError

Measured = tuple[dict[str, Any], int]


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a temporary folder, and remove it at the end.

    Raises:
        FishError: there is no room for one.
    """
    try:
        scratch = tempfile.TemporaryDirectory()
    except OSError as error:
        raise FishError(
            f"nothing can be written to the temporary folder: {error}; free some space, or name "
            "another one by the environment variable TMPDIR"
        ) from error
    with scratch as folder:
        yield Path(folder)


def environment_of(threads: int | None, **more: str) -> dict[str, str]:
    """The environment of a process that finds this package, with so many threads of torch."""
    found_first = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join(filter(None, (found_first, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, **more, "PYTHONPATH": search}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    return environment


def run(*command: str, threads: int | None, folder: Path, **environment: str) -> tuple[str, int]:
    """Run ``python`` with a command in a folder, and wait for it.

    Args:
        command: arguments of ``python``.
        threads: of torch; None for one a core.
        folder: where it runs.
        environment: variables that are added to those of this process.

    Returns:
        What it printed, and its largest resident set in bytes; 0 where the system does not say.

    Raises:
        FishError: it failed; the message is the end of what it said.
    """
    with tempfile.TemporaryFile("w+", dir=folder) as said:
        process = subprocess.Popen(
            [sys.executable, *command], stdout=said, stderr=subprocess.STDOUT, cwd=folder,
            env=environment_of(threads, **environment),
        )  # fmt: skip
        peak_memory = 0
        try:
            while process.poll() is None:
                peak_memory = max(peak_memory, peak_memory_of(process.pid))
                time.sleep(0.05)
        finally:
            # One that was asked to stop does not leave it training in a folder that is removed.
            process.kill()
            process.wait()
        said.seek(0)
        output = said.read()
    if process.returncode:
        raise FishError(f"{' '.join(command)} failed:\n{output[-3000:]}")
    return output, peak_memory


def peak_memory_of(pid: int) -> int:
    """Largest resident set so far, in bytes; 0 where the system does not say (no Linux).

    Not ru_maxrss, which begins with the memory of whoever has started the process.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    kilobytes = re.search(r"VmHWM:\s+(\d+) kB", status)
    return 1024 * int(kilobytes[1]) if kilobytes else 0


def measure_alone(module: str, settings: Mapping[str, Any], *, threads: int | None) -> Measured:
    """Call ``measure`` of a module of this folder, with settings that JSON can hold, in a process.

    Returns:
        What ``measure`` returns, and the peak memory in bytes.
    """
    with scratch_folder() as folder:
        output, peak_memory = run(
            "-m", __name__, module, json.dumps(settings), threads=threads, folder=folder
        )
    return json.loads(output.strip().splitlines()[-1]), peak_memory


if __name__ == "__main__":
    contender = importlib.import_module(f"fishcnn.benchmark.{sys.argv[1]}")
    print(json.dumps(contender.measure(json.loads(sys.argv[2]))))
