"""Train a network and write a run folder."""
