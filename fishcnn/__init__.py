"""Train, compare and explain small CNNs on folders of fish photographs."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fishcnn.cam.maps import grad_cam
    from fishcnn.data.datamodule import FishDataModule
    from fishcnn.models.classifier import FishClassifier

__all__ = ["FishClassifier", "FishDataModule", "grad_cam"]

_HOMES = {
    "FishClassifier": "fishcnn.models.classifier",
    "FishDataModule": "fishcnn.data.datamodule",
    "grad_cam": "fishcnn.cam.maps",
}


def __getattr__(name: str) -> object:
    """Import torch only when something needs it: ``--help`` must answer at once."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fishcnn' has no attribute {name!r}")
