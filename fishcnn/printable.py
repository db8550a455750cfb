"""File names on paper: they need not be valid Unicode, but what is written or drawn has to be."""


def printable(name: str) -> str:
    """Escape the bytes of a file name that are no UTF-8, which Python keeps as lone surrogates."""
    return name.encode("utf-8", "backslashreplace").decode()
