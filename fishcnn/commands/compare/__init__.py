"""Runs and sweeps side by side: who is better, and which setting has done it."""
