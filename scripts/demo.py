"""Serve a local web page that classifies a photo and shows where the network looked."""

from fishcnn.commands.cli import start

if __name__ == "__main__":
    start("demo")
