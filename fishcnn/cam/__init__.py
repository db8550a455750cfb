"""Class activation maps, and whether they can be believed; torch and NumPy only."""
