"""``python -m fishcnn COMMAND``: the same as ``fishcnn COMMAND``."""

from fishcnn.commands.cli import main

if __name__ == "__main__":
    main()
