"""The parts of ``scripts/predict.py``: rows, the file they go into, the stream they come from."""
