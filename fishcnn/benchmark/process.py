"""Measuring in a process of its own: nothing is warmed by, or pays for, what ran before."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fishcnn.utils.errors import FishError


@dataclass(frozen=True)
class Finished:
    """A process that has ended.

    Attributes:
        output: what it printed.
        peak_memory: largest resident set of it in bytes; 0 where the system does not say.
    """

    output: str
    peak_memory: int


def run(command: Sequence[str], *, threads: int | None, folder: Path) -> Finished:
    """Run a Python program and wait for it.

    Args:
        command: what follows ``python``.
        threads: of torch; None for its own choice.
        folder: where it stands.

    Raises:
        FishError: it failed; the message is the end of what it said.
    """
    project = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": project}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, *command], stdout=said, stderr=subprocess.STDOUT, cwd=folder,
            env=environment,
        )  # fmt: skip
        peak_memory = 0
        while process.poll() is None:
            peak_memory = max(peak_memory, _peak_memory(process.pid))
            time.sleep(0.05)
        said.seek(0)
        output = said.read()
    if process.returncode:
        raise FishError(f"{' '.join(command)} failed:\n{output[-3000:]}")
    return Finished(output, peak_memory)


def _peak_memory(pid: int) -> int:
    """Largest resident set so far, in bytes; 0 where the system does not say (no Linux).

    Not ru_maxrss, which begins with the memory of whoever has started the process.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    kilobytes = re.search(r"VmHWM:\s+(\d+) kB", status)
    return 1024 * int(kilobytes[1]) if kilobytes else 0


def run_module(
    module: str, settings: Mapping[str, Any] | Sequence[Any], *, threads: int | None, folder: Path
) -> tuple[dict[str, Any], int]:
    """Run a module whose main program takes settings as JSON and ends with one line of JSON.

    Returns:
        What it printed, and its peak memory in bytes.
    """
    finished = run(["-m", module, json.dumps(settings)], threads=threads, folder=folder)
    result: dict[str, Any] = json.loads(finished.output.strip().splitlines()[-1])
    return result, finished.peak_memory
