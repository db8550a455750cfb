"""Train a network on a folder of images, or on rendered fish if none is named."""

from fishcnn.commands.cli import start

if __name__ == "__main__":
    start("train")
