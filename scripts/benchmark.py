"""Measure how fast training is, against an ordinary recipe and against the limit."""

import hydra
from omegaconf import DictConfig

from fishcnn.commands.cli import reports_errors, start


@hydra.main(config_path="../conf", config_name="benchmark", version_base="1.3")
@reports_errors
def main(config: DictConfig) -> None:
    """Measure what ``parts`` names."""
    from fishcnn.benchmark.benchmark import benchmark  # torch is not needed to answer --help

    benchmark(config)


if __name__ == "__main__":
    start(main)
