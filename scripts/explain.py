"""Show where a trained network looks, and whether the maps can be trusted."""

from fishcnn.commands.cli import start

if __name__ == "__main__":
    start("explain")
