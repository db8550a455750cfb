"""Searching for good settings: many short runs, of which each learns from those before."""
