"""The one exception that is meant for the person at the keyboard."""


class FishError(Exception):
    """Something the user can put right.

    The message names the setting or path, what was found, and what to type instead. The scripts
    print it without a traceback and exit with status 1.
    """
