"""A trained network in files that other programs can read, and the model card beside them."""

from fishcnn.commands.export.exported_classifier import ExportedClassifier, metadata_of, rebuild

__all__ = ["ExportedClassifier", "metadata_of", "rebuild"]
