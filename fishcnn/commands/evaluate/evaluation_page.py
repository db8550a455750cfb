"""The report of an evaluation: one HTML file that can be sent to a colleague."""

from pathlib import Path

import numpy as np

from fishcnn.commands import html
from fishcnn.commands.evaluate.gallery import confused_pairs, costly_mistakes
from fishcnn.commands.evaluate.logits import Explained
from fishcnn.commands.evaluate.results import Results
from fishcnn.commands.html import bar, chart, percent, section, text
from fishcnn.metrics.classification import confusion_order
from fishcnn.metrics.intervals import wilson_interval
from fishcnn.plots.confusion_matrix import confusion_matrix
from fishcnn.plots.reliability import accuracy_by_confidence, reliability_diagram
from fishcnn.utils.text import printable

# Nothing but what is inside the file: a browser that is told so fetches nothing, whatever a class
# may be called.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def report(
    results: Results, mistakes: list[int], explained: Explained | None, made_of: dict[str, str]
) -> bytes:
    """Build the page.

    Args:
        results: what it is about.
        mistakes: positions of the wrong predictions to show.
        explained: their Grad-CAM; None if there is none.
        made_of: what is needed to repeat it, as names and values.

    Returns:
        UTF-8. Bytes of a file name that are no valid Unicode become escapes.

    Raises:
        FishError: a picture can no longer be read.
    """
    title = f"Evaluation on {results.pictures.name}"
    sections = [
        _headline(results),
        _remarks(results),
        _classes(results),
        _confusion(results),
        confused_pairs(results),
        _calibration(results),
        _confidence(results),
        _tta(results),
        costly_mistakes(results, mistakes, explained),
        _made_of(made_of),
    ]
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{text(title)}</h1>
<p class="faint">{len(results.pictures):,} pictures of {len(results.classes)} classes,
judged by the network in <code>{text(results.checkpoint)}</code></p>
</header>
<main>
{"".join(sections)}
</main>
</body>
</html>
"""
    return printable(page).encode()


def _headline(results: Results) -> str:
    scores = results.scores
    low, high = scores.interval
    k, top_k = max(scores.top_k.items())
    applied = results.threshold.applied
    cards = [
        ("accuracy", percent(scores.accuracy), f"95% interval {percent(low)} to {percent(high)}"),
        (
            "macro F1",
            f"{scores.macro.f1:.3f}",
            f"precision {scores.macro.precision:.3f}, recall {scores.macro.recall:.3f}",
        ),
        (f"top-{k} accuracy", percent(top_k), f"true class among the first {k}"),
        (
            "calibration error",
            percent(scores.reliability.ece),
            f"luck alone gives up to {percent(scores.ece_by_chance)}",
        ),
    ]
    wanted = percent(results.threshold.wanted, 0)
    if applied is None:
        cards.append((f"for {wanted} precision", "-", "no confidence is enough"))
    else:
        cards.append(
            (
                f"for {wanted} precision",
                percent(applied.coverage, 0),
                f"of the pictures, with confidence {applied.shown_threshold} or more",
            )
        )
    parts = [
        f'<div class="card"><div class="name">{text(name)}</div><div class="value">{value}</div>'
        f'<div class="faint">{text(note)}</div></div>'
        for name, value, note in cards
    ]
    return f'<div class="cards">{"".join(parts)}</div>\n'


def _remarks(results: Results) -> str:
    if not results.remarks:
        return ""
    items = "".join(f"<li>{text(remark)}</li>" for remark in results.remarks)
    return f'<ul class="remarks">{items}</ul>\n'


def _classes(results: Results) -> str:
    scores = results.scores.by_class
    confusion = results.scores.confusion
    rows = []
    for k in results.worst_classes():
        low, high = wilson_interval(int(confusion[k, k]), int(scores.support[k]))
        rows.append(
            [
                text(results.classes[k]),
                str(scores.support[k]),
                bar(scores.precision[k]),
                bar(scores.recall[k]),
                f'<span class="faint">{percent(low, 0)} to {percent(high, 0)}</span>',
                f"{scores.f1[k]:.3f}",
                _taken_for(results, k),
            ]
        )
    headers = [
        "class", "pictures", "precision", "recall", "95% interval", "F1", "mostly taken for",
    ]  # fmt: skip
    note = (
        "Lowest F1 first. Precision: how many of the answers “this class” are right. Recall: how "
        "many pictures of the class are found, with its 95% interval."
    )
    return section("Classes", f"<p>{note}</p>", html.table(headers, rows, "classes"))


def _taken_for(results: Results, k: int) -> str:
    row = results.scores.confusion[k].copy()
    row[k] = 0
    other = int(row.argmax())
    if not row[other]:
        return ""
    return f'{text(results.classes[other])} <span class="faint">&times; {row[other]}</span>'


def _confusion(results: Results) -> str:
    order = confusion_order(results.scores.confusion)
    matrix = results.scores.confusion[np.ix_(order, order)]
    names = [printable(results.classes[k]) for k in order]
    figure = confusion_matrix(
        matrix, names, printable(f"Confusion matrix, {results.pictures.name}")
    )
    note = (
        "Rows are the true classes; colour is the share of the row. Classes that are confused with "
        "each other stand together."
    )
    picture = html.large_chart(figure, "Confusion matrix")
    shown = f'<div class="scroll chart">{picture}</div>'
    return section("Confusion matrix", f"<p>{note}</p>", shown, kind="wide")


def _calibration(results: Results) -> str:
    scores, calibration = results.scores, results.calibration
    rows = [
        [text(line.name), f"{line.temperature:.3f}", percent(line.ece), f"{line.log_loss:.3f}"]
        for line in calibration.lines
    ]
    headers = ["", "temperature", "ECE", "log-loss"]
    confidence = float(scores.confidence.mean())
    low, high = scores.interval
    sure = "neither too sure of itself nor too modest, as far as so many pictures can tell"
    if not low <= confidence <= high:
        sure = "too sure of itself" if confidence > high else "less sure of itself than it could be"
    notes = [
        f"The expected calibration error (ECE) is the mean gap between confidence and accuracy, "
        f"here {percent(scores.reliability.ece)}; on {len(scores.right):,} pictures a perfectly "
        f"calibrated network stays below {percent(scores.ece_by_chance)} in 19 of 20 cases.",
        f"On average the confidence is {percent(confidence)} and the accuracy "
        f"{percent(scores.accuracy)}: the network is {sure}.",
        calibration.remark,
    ]
    figure = reliability_diagram(scores.reliability, "Reliability")
    body = "".join(f"<p>{text(note)}</p>" for note in notes)
    return section(
        "Calibration",
        f'<div class="columns"><div class="scroll chart">{chart(figure, "Reliability diagram")}'
        f"</div><div>{body}{html.table(headers, rows)}</div></div>",
    )


def _confidence(results: Results) -> str:
    threshold = results.threshold
    chosen, applied = threshold.chosen, threshold.applied
    wanted = percent(threshold.wanted, 0)
    rows = []
    for share in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5):
        point = int(np.searchsorted(results.curve.coverage, share - 1e-9))
        rows.append(
            [
                percent(results.curve.coverage[point], 0),
                f"{results.curve.threshold[point]:.3f}",
                percent(results.curve.accuracy[point]),
            ]
        )
    if chosen is None or applied is None:
        notes = [
            f"No confidence gives {wanted} precision on the {threshold.chosen_on} pictures "
            "with enough of them left to tell."
        ]
    else:
        low, high = wilson_interval(chosen.hits, chosen.kept)
        notes = [
            f"Answers with confidence {chosen.shown_threshold} or more are right in "
            f"{percent(chosen.precision)} of the {threshold.chosen_on} pictures that are kept "
            f"({chosen.hits} of {chosen.kept}; 95% interval {percent(low)} to {percent(high)}), "
            f"which are {percent(chosen.coverage)} of all. It is the lowest such threshold for "
            f"{wanted} precision."
        ]
        if threshold.chosen_on != results.pictures.name:
            notes.append(
                f"On the pictures judged here it keeps {percent(applied.coverage)}, of which "
                f"{percent(applied.precision)} are right ({applied.hits} of {applied.kept})."
            )
        else:
            notes.append(
                "It was chosen on these very pictures: on new ones expect a little less, and look "
                "at the interval."
            )
    figure = accuracy_by_confidence(results.curve, chosen, "Accuracy against confidence")
    body = "".join(f"<p>{text(note)}</p>" for note in notes)
    lines = html.table(["surest pictures", "confidence from", "accuracy"], rows)
    return section(
        "How far to trust a confidence",
        f'<div class="columns"><div class="scroll chart">'
        f"{chart(figure, 'Accuracy against confidence')}</div><div>{body}{lines}</div></div>",
    )


def _tta(results: Results) -> str:
    if results.plain is None:
        return ""
    both = {"each picture once": results.plain, "mean of four views": results.scores}
    rows = [
        [
            name,
            percent(scores.accuracy),
            f"{scores.macro.f1:.3f}",
            f"{scores.log_loss:.3f}",
            percent(scores.reliability.ece),
        ]
        for name, scores in both.items()
    ]
    mended = int((results.scores.right & ~results.plain.right).sum())
    spoilt = int((~results.scores.right & results.plain.right).sum())
    note = (
        "All other numbers of this page are means over four views of each picture: as it is, "
        "mirrored, enlarged by a seventh, and both. "
        f"That mended {mended} mistakes and made {spoilt} new ones."
    )
    headers = ["", "accuracy", "macro F1", "log-loss", "ECE"]
    return section("Test-time augmentation", f"<p>{note}</p>", html.table(headers, rows))


def _made_of(made_of: dict[str, str]) -> str:
    rows = [[text(name), f"<code>{text(value)}</code>"] for name, value in made_of.items()]
    return section("How this was made", html.table(["", ""], rows, "made-of"))
