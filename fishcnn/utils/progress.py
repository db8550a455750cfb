"""A progress bar for whoever waits; the only place below ``commands/`` that knows rich."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def track(
    iterable: Iterable[Item], description: str, *, total: int | None = None, show: bool
) -> Iterator[Item]:
    """Yield the items, with a bar on standard error that vanishes at the end, if it shows at all.

    Beside the bar stands how far it is, such as 12 of 148.

    The description is such as ``"Decoding"``; without a total, the items have a length.
    """
    if not show:
        yield from iterable
        return
    # Only here: whoever waits for nothing does not wait for the import either.
    from rich import progress
    from rich.console import Console

    columns = (
        "{task.description}",
        progress.BarColumn(),
        progress.MofNCompleteColumn(separator=" of "),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield from bar.track(iterable, total, description=description)
