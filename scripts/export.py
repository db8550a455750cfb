"""Export a trained network to ONNX, torch.export and safetensors, with a model card."""

from fishcnn.commands.cli import start

if __name__ == "__main__":
    start("export")
