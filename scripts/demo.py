"""A local web page that classifies a photo and shows where the network looked."""

import hydra
from omegaconf import DictConfig

from fishcnn.commands.cli import reports_errors, start


@hydra.main(config_path="../conf", config_name="demo", version_base="1.3")
@reports_errors
def main(config: DictConfig) -> None:
    """Serve the page."""
    from fishcnn.commands.demo import demo  # torch is not needed to answer --help

    demo(config)


if __name__ == "__main__":
    start(main)
