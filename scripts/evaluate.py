"""Judge a trained network on validation, test or any labelled folder, and write a report."""

from fishcnn.commands.cli import start

if __name__ == "__main__":
    start("evaluate")
