"""Signs of life for whoever waits; the only place below ``commands/`` that knows rich."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


def track(
    iterable: Iterable[Item],
    description: str,
    *,
    total: int | None = None,
    step: int = 1,
    show: bool = True,
) -> Iterator[Item]:
    """Yield the items, with a bar on standard error that vanishes at the end, if it shows at all.

    Beside the bar stands how far it is, such as 12 of 148; only a terminal has it.

    Args:
        iterable: what to yield.
        description: such as ``"Decoding"``.
        total: of what is counted; None for the number of items, or where nobody knows it.
        step: how many an item counts, such as the images of a batch; the last may be fewer.
        show: whether it shows.
    """
    if not show:
        yield from iterable
        return
    # Only here: whoever waits for nothing does not wait for the import either.
    from rich import progress
    from rich.console import Console

    if total is None and isinstance(iterable, Sequence):
        total = len(iterable)
    columns = (
        "{task.description}",
        progress.BarColumn(),
        progress.MofNCompleteColumn(separator=" of "),
        progress.TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    # In a log file, an empty line would be left of it.
    hidden = not console.is_terminal
    with progress.Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task, done = bar.add_task(description, total=total), 0
        for item in iterable:
            yield item
            done += step
            bar.update(task, completed=done if total is None else min(done, total))


@contextmanager
def waiting(description: str) -> Iterator[None]:
    """Show on standard error, if that is a terminal, what takes its time, until it is done."""
    from rich.console import Console

    with Console(stderr=True).status(description):
        yield
