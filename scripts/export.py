"""Export a trained network to ONNX, torch.export and safetensors, with a model card."""

import hydra
from omegaconf import DictConfig

from fishcnn.commands.cli import reports_errors, start


@hydra.main(config_path="../conf", config_name="export", version_base="1.3")
@reports_errors
def main(config: DictConfig) -> None:
    """Export one network."""
    from fishcnn.commands.export.export import export  # torch is not needed to answer --help

    export(config)


if __name__ == "__main__":
    start(main)
