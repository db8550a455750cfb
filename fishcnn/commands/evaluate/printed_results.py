"""What an evaluation prints."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fishcnn.commands.evaluate.results import Results
from fishcnn.utils.text import printable

_LISTED = 5


def print_results(results: Results, output: Path) -> None:
    """Print the numbers, the most frequent mistakes, and where the files are.

    Args:
        results: of the evaluation.
        output: folder of its files.
    """
    console = Console()
    scores, calibration, threshold = results.scores, results.calibration, results.threshold
    low, high = scores.interval
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("pictures", f"{len(results.pictures)} ({_escaped(results.pictures.name)})")
    table.add_row(
        "accuracy", f"[bold]{scores.accuracy:.1%}[/bold]  (95% interval {low:.1%} to {high:.1%})"
    )
    if results.plain is not None:
        table.add_row("without tta", f"{results.plain.accuracy:.1%}")
    table.add_row(
        "macro",
        f"precision {scores.macro.precision:.3f}, recall {scores.macro.recall:.3f}, "
        f"F1 {scores.macro.f1:.3f}",
    )
    for k, share in scores.top_k.items():
        if k > 1:
            table.add_row(f"top-{k}", f"{share:.1%}")
    for line in calibration.lines:
        table.add_row(
            line.name.split(",")[0],
            f"temperature {line.temperature:.3f}, ECE {line.ece:.1%}, log-loss {line.log_loss:.3f}",
        )
    applied = threshold.applied
    table.add_row(
        f"precision {threshold.wanted:g}",
        "no confidence is enough"
        if applied is None
        else f"at confidence {applied.shown_threshold} or more, {applied.coverage:.1%} of them",
    )
    console.print(table)
    if scores.pairs:
        pairs = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for header in ("mistaken", "for", "pictures", "of the class"):
            pairs.add_column(header)
        for pair in scores.pairs[:_LISTED]:
            names = (results.classes[pair.true], results.classes[pair.predicted])
            pairs.add_row(*map(_escaped, names), str(pair.number), f"{pair.share:.0%}")
        console.print(pairs)
    for remark in [calibration.remark, *results.remarks]:
        console.print(_escaped(remark), highlight=False)
    for name in ("report.html", "evaluation.json", "predictions.csv"):
        console.print(printable(str(output / name)), soft_wrap=True, markup=False, highlight=False)


def _escaped(name: str) -> str:
    """A name for rich, in which brackets are no markup."""
    return escape(printable(name))
