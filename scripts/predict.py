"""Classify images, any number of them, with a trained network."""

from fishcnn.commands.cli import start

if __name__ == "__main__":
    start("predict")
