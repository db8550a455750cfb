"""Train a network on a folder of pictures, or on rendered fish if none is named."""

import hydra
from omegaconf import DictConfig

from fishcnn.commands.cli import reports_errors, start


@hydra.main(config_path="../conf", config_name="train", version_base="1.3")
@reports_errors
def main(config: DictConfig) -> float | None:
    """Run one job."""
    from fishcnn.commands.train.train import train  # torch is not needed to answer --help

    return train(config)


if __name__ == "__main__":
    start(main)
