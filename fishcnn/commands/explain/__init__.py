"""The parts of scripts/explain.py: which pictures, their maps, drawings, and what to trust."""
