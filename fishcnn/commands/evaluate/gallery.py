"""The pictures of a report: confused classes side by side, and mistakes with their Grad-CAM."""

import math

import numpy as np

from fishcnn.commands import html
from fishcnn.commands.evaluate.logits import Explained
from fishcnn.commands.evaluate.results import Results
from fishcnn.commands.html import bar, percent, section, text
from fishcnn.metrics.classification import ConfusedPair

_PAIRS_WITH_PICTURES = 8
_MISTAKES_OF_A_PAIR = 2


def confused_pairs(results: Results) -> str:
    """The table of the most frequent mistakes, and what the first of them look like."""
    pairs = results.scores.pairs
    if not pairs:
        return section("Most confused pairs", "<p>There is not one mistake.</p>")
    support, names = results.scores.by_class.support, results.classes
    rows = [
        [
            text(names[pair.true]),
            text(names[pair.predicted]),
            f"{pair.number} of {support[pair.true]}",
            bar(pair.share),
        ]
        for pair in pairs
    ]
    headers = ["true class", "taken for", "pictures", "of the class"]
    shown = "".join(_pair(results, pair) for pair in pairs[:_PAIRS_WITH_PICTURES])
    return section(
        "Most confused pairs",
        html.table(headers, rows, "pairs"),
        "<h3>What they look like</h3>",
        "<p>Mistaken pictures, and beside them one of each class that was recognised. The shares "
        "are the confidences of the answers.</p>",
        f"<div class='gallery'>{shown}</div>",
    )


def _pair(results: Results, pair: ConfusedPair) -> str:
    """Mistaken pictures beside ones of both classes that were recognised."""
    scores, labels = results.scores, results.pictures.labels
    true, guess = text(results.classes[pair.true]), text(results.classes[pair.predicted])
    by_confidence = np.argsort(-scores.confidence, kind="stable")

    def surest(true_class: int, predicted: int, limit: int) -> list[int]:
        chosen = (labels == true_class) & (scores.predicted == predicted)
        found: list[int] = by_confidence[chosen[by_confidence]][:limit].tolist()
        return found

    photos = [
        _photo(results, position, "<b class='wrong'>mistaken</b>")
        for position in surest(pair.true, pair.predicted, _MISTAKES_OF_A_PAIR)
    ]
    for k in (pair.true, pair.predicted):
        photos += [
            _photo(results, position, f"<b>{text(results.classes[k])}</b>")
            for position in surest(k, k, 1)
        ]
    return (
        f'<article><h4>{true} <span class="faint">taken for</span> {guess} '
        f'<span class="faint">&times; {pair.number}</span></h4>'
        f'<div class="photos">{"".join(photos)}</div></article>'
    )


def _photo(results: Results, position: int, caption: str) -> str:
    picture = html.photograph(results.pictures.root / results.pictures.paths[position])
    confidence = percent(results.scores.confidence[position], 0)
    return html.photo(picture, f"{caption} <span class='faint'>{confidence}</span>")


def costly_mistakes(results: Results, mistakes: list[int], explained: Explained | None) -> str:
    """Wrong predictions with what spoke for them.

    Args:
        results: of the evaluation.
        mistakes: positions of n wrong predictions.
        explained: their maps; None if there is no mistake.
    """
    if explained is None:
        return section("Most costly mistakes", "<p>There is not one.</p>")
    cards = []
    for position, for_predicted, for_true in zip(
        mistakes, explained.for_predicted, explained.for_true, strict=True
    ):
        path = results.pictures.paths[position]
        picture = html.photograph(results.pictures.root / path)
        true = results.pictures.labels[position]
        guess = results.scores.predicted[position]
        of_true = results.probabilities[position, true]
        photos = [
            html.photo(picture, "picture"),
            html.photo(html.under_map(picture, for_predicted), "for the answer"),
            html.photo(html.under_map(picture, for_true), "for the true class"),
        ]
        cards.append(
            f'<article><h4><span class="wrong">{text(results.classes[guess])}</span> '
            f"{percent(results.scores.confidence[position])} "
            f'<span class="faint">but it is</span> {text(results.classes[true])} '
            f'<span class="faint">{percent(of_true)}, loss {-math.log(max(of_true, 1e-300)):.1f}'
            f'</span></h4><div class="photos three">{"".join(photos)}</div>'
            f'<p class="path">{text(path.as_posix())}</p></article>'
        )
    note = (
        "Wrong answers, the most confident first. The Grad-CAM maps (Selvaraju et al. 2017) show "
        "in red what spoke for the answer, and what spoke for the true class. A map without "
        "colours from green to red has nothing that did."
    )
    return section(
        "Most costly mistakes",
        f"<p>{note}</p>",
        f'<div class="gallery">{"".join(cards)}</div>',
    )
