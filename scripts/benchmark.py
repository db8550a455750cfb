"""Measure how fast training is, against an ordinary recipe and against the limit."""

from fishcnn.commands.cli import start

if __name__ == "__main__":
    start("benchmark")
