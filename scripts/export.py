"""Export a trained network to ONNX and torch.export, with a model card."""

from fishcnn.commands.cli import start

if __name__ == "__main__":
    start("export")
