"""What a user runs: only here Hydra, rich and the terminal."""
