"""Report on a folder of images without training: near-duplicates, leaks, labels, borders."""

from fishcnn.commands.cli import start

if __name__ == "__main__":
    start("inspect_data")
