"""Whether an explanation is to be trusted, and whether the network looks at the fish."""
