"""A linear classifier on what a pretrained network sees, found before the first epoch."""

from fishcnn.training.probe.probe import fill_head

__all__ = ["fill_head"]
