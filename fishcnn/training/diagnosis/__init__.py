"""What the curves of a finished fit say is wrong, why, and which override to try next."""

from fishcnn.training.diagnosis.reading import FEW_IMAGES
from fishcnn.training.diagnosis.records import Curves, Settings, Verdict
from fishcnn.training.diagnosis.verdicts import diagnose, report

__all__ = ["FEW_IMAGES", "Curves", "Settings", "Verdict", "diagnose", "report"]
