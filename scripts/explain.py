"""Show where a trained network looks, and whether that is to be trusted."""

import hydra
from omegaconf import DictConfig

from fishcnn.commands.cli import reports_errors, start


@hydra.main(config_path="../conf", config_name="explain", version_base="1.3")
@reports_errors
def main(config: DictConfig) -> None:
    """Run one job."""
    from fishcnn.commands.explain.explain import explain  # torch is not needed to answer --help

    explain(config)


if __name__ == "__main__":
    start(main)
