"""Search for the settings that train a network best."""

from fishcnn.commands.cli import start

if __name__ == "__main__":
    start("tune")
