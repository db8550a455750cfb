"""Classify pictures, any number of them, with a trained network."""

import hydra
from omegaconf import DictConfig

from fishcnn.commands.cli import reports_errors, start


@hydra.main(config_path="../conf", config_name="predict", version_base="1.3")
@reports_errors
def main(config: DictConfig) -> None:
    """Run one job."""
    from fishcnn.commands.predict.predict import predict  # torch is not needed to answer --help

    predict(config)


if __name__ == "__main__":
    start(main)
