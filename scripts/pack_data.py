"""Pack a folder of images into shards, for data that fits no machine."""

from fishcnn.commands.cli import start

if __name__ == "__main__":
    start("pack_data")
