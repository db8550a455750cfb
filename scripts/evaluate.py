"""Judge a trained network on validation, test or any labelled folder, and write a report."""

import hydra
from omegaconf import DictConfig

from fishcnn.commands.cli import reports_errors, start


@hydra.main(config_path="../conf", config_name="evaluate", version_base="1.3")
@reports_errors
def main(config: DictConfig) -> float | None:
    """Run one job."""
    from fishcnn.commands.evaluate.evaluate import evaluate  # torch is not needed to answer --help

    return evaluate(config)


if __name__ == "__main__":
    start(main)
