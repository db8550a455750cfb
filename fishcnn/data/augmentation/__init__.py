"""Augmenting whole batches, each image in its own way."""
