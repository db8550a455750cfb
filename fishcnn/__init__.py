"""Train, compare and explain small CNNs on folders of fish photographs."""
