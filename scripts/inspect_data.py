"""Report on a folder of pictures without training: duplicates, leaks, wrong labels, borders."""

import hydra
from omegaconf import DictConfig

from fishcnn.commands.cli import reports_errors, start


@hydra.main(config_path="../conf", config_name="inspect_data", version_base="1.3")
@reports_errors
def main(config: DictConfig) -> float | None:
    """Run one job."""
    from fishcnn.commands.inspect_data import (
        inspect_data,  # NumPy and torch are not needed for --help
    )

    inspect_data(config)
    return None


if __name__ == "__main__":
    start(main)
