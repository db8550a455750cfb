"""The exceptions that are meant for the person at the keyboard."""


class FishError(Exception):
    """Something the user can put right.

    The message says what was found, where, and what to do instead. The commands print it without a
    traceback and exit with status 1.
    """


class ArgumentError(FishError):
    """An argument of the library has a value that cannot be used.

    Its message names the argument; a command that has passed a setting on as this argument says the
    name of the setting instead (:func:`fishcnn.commands.settings.as_settings`). No other part of
    the package knows what the settings are called.

    Attributes:
        name: the argument, such as ``val_fraction``.
        value: what was given; None where nothing was.
        problem: what is wrong with it and what to do; plain words without the name.
    """

    def __init__(self, name: str, value: object, problem: str) -> None:
        super().__init__(name, value, problem)
        self.name = name
        self.value = value
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.name}={typed(self.value)}: {self.problem}"


def typed(value: object) -> str:
    """A value as it is typed on the command line: ``true``, ``null``, ``[0.1, 1]``, ``{a: 1}``."""
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(typed, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {typed(item)}' for key, item in value.items())}}}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def causes(error: BaseException) -> list[BaseException]:
    """An error and what it came from, each once: errors that are raised again lead in a circle."""
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause and cause not in found:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found
