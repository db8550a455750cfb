"""Compare runs and sweeps: which is the best, beyond the noise, and which setting has done it."""

from fishcnn.commands.cli import start

if __name__ == "__main__":
    start("compare")
