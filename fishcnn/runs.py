"""A run's folder: what was run, with what, and where the checkpoints of earlier runs are."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

from fishcnn.errors import FishError

_PACKAGES = (
    "fishcnn",
    "torch",
    "torchvision",
    "pytorch-lightning",
    "torchmetrics",
    "hydra-core",
    "omegaconf",
    "tensorboard",
    "matplotlib",
    "numpy",
    "pillow",
)


def versions() -> dict[str, str]:
    """Package versions, Python, platform and git commit, to repeat a run."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    found["python"] = platform.python_version()
    found["platform"] = platform.platform()
    found["git_commit"] = _git_commit()
    return found


def _git_commit() -> str:
    """Commit of the source tree, with ``-dirty`` after it where files differ from it."""
    folder = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "not a git checkout"
    return described.stdout.strip()


def find_checkpoint(named: str, runs: Path) -> Path:
    """Find the checkpoint to continue from.

    Args:
        named: a checkpoint file, a run folder, or ``"last"`` for the newest run.
        runs: the folder below which ``"last"`` looks.

    Raises:
        FishError: there is none.
    """
    if named == "last":
        candidates = sorted(runs.rglob("checkpoints/last.ckpt"), key=lambda p: p.stat().st_mtime)
        if not candidates:
            raise FishError(f"ckpt_path=last: there is no run with a checkpoint below {runs}")
        return candidates[-1]
    path = Path(named).expanduser()
    inside = path / "checkpoints" / "last.ckpt"
    if path.is_dir() and inside.is_file():
        return inside
    if not path.is_file():
        raise FishError(
            f"ckpt_path={named}: wanted a checkpoint file, a run folder that holds "
            "checkpoints/last.ckpt, or last"
        )
    return path
