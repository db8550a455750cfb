"""Measurements of this project against ordinary recipes; see ``scripts/benchmark.py``."""
