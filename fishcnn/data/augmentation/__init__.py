"""Augmenting whole batches, each picture in its own way."""
