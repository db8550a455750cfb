"""The files of an evaluation: what a machine reads, and what a person opens."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fishcnn.commands.evaluate.evaluation_page import evaluation_page
from fishcnn.commands.evaluate.inference import MistakeMaps
from fishcnn.commands.evaluate.output import print_results, write_json, write_predictions
from fishcnn.commands.evaluate.results import Results, Scores, score
from fishcnn.utils.text import percent

if TYPE_CHECKING:
    from playwright.sync_api import Page


def page_of(results: Results, maps: MistakeMaps | None) -> str:
    made_of = {"checkpoint": "best.ckpt"}
    return evaluation_page(results, results.costly_mistakes(12), maps, made_of).decode("utf-8")


def test_the_surest_mistake_is_the_most_costly(results: Results) -> None:
    assert results.costly_mistakes(12).tolist() == [12, 1, 0]
    assert results.costly_mistakes(1).tolist() == [12]


def test_names_are_text_and_never_markup(results: Results, maps: MistakeMaps) -> None:
    page = page_of(results, maps).replace("<wbr>", "")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Tom &amp; &#34;Jerry&#39;s&#34; [bold]" in page
    assert "r\\udcffi" in page
    assert "<b>markup</b>" not in page


def test_confidence_that_is_right_on_average_alone_is_not_called_right(
    right_on_average: Results,
) -> None:
    scores = right_on_average.scores
    assert scores.reliability.ece > scores.ece_by_chance
    assert scores.accuracy == pytest.approx(scores.confidence.mean(), abs=0.01)
    page = " ".join(page_of(right_on_average, None).split())
    assert "about right on average, but overconfident at some confidences" in page
    assert "neither overconfident" not in page


def test_the_page_refers_to_nothing_outside_itself(results: Results, maps: MistakeMaps) -> None:
    page = page_of(results, maps)
    sources = re.findall(r'\bsrc="([^"]{0,30})', page)
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"\bhref=|url\(|@import|https?://", page)


def test_every_mistake_shows_the_image_and_both_maps(results: Results, maps: MistakeMaps) -> None:
    page = page_of(results, maps).replace("<wbr>", "")
    gallery = page[page.index("Most costly mistakes") :]
    assert gallery.count("<figure>") == 3 * 3
    assert gallery.index(results.images.paths[12].as_posix()) < gallery.index(
        results.images.paths[1].as_posix()
    )


def test_without_a_mistake_the_page_says_so(results: Results) -> None:
    perfect = np.eye(3)[results.images.labels] * 0.9 + 0.1 / 3
    flawless = replace(
        results, probabilities=perfect, scores=score(perfect, results.images.labels, 2)
    )
    page = page_of(flawless, None)
    assert "There are no mistakes." in page
    assert "100.0%" in page


def test_machines_read_the_same_numbers(results: Results, tmp_path: Path) -> None:
    write_json(results, tmp_path / "evaluation.json")
    written = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert written["accuracy"] == pytest.approx(33 / 36)
    assert written["confusion"] == [[10, 2, 0], [1, 11, 0], [0, 0, 12]]
    assert [entry["recall"] for entry in written["classes"]] == pytest.approx([10 / 12, 11 / 12, 1])
    assert written["confused_pairs"][0]["count"] == 2
    assert written["classes"][2]["name"] == results.classes[2]
    assert set(written["tta"]) == {"with", "without"}

    write_predictions(results, tmp_path / "predictions.csv")
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 36
    assert rows[0]["path"] == results.images.paths[0].as_posix()
    assert (rows[0]["true"], rows[0]["predicted"]) == tuple(results.classes[:2])
    assert float(rows[0]["probability"]) == pytest.approx(0.6)
    assert float(rows[0]["probability_of_true"]) == pytest.approx(0.2)
    assert rows[-1]["true"] == "r\\udcffi"


def test_a_class_that_was_never_answered_has_no_precision_in_the_file(
    results: Results, tmp_path: Path
) -> None:
    always_first = np.tile([0.8, 0.1, 0.1], (36, 1))
    scores = score(always_first, results.images.labels, 2)
    changed = replace(results, probabilities=always_first, scores=scores)
    write_json(changed, tmp_path / "evaluation.json")
    written = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert [entry["precision"] for entry in written["classes"]] == [
        pytest.approx(1 / 3),
        None,
        None,
    ]


def test_brackets_and_stray_bytes_in_names_are_printed_as_they_are(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_results(results, tmp_path)
    printed = capsys.readouterr().out
    assert "[bold]" in printed
    assert "91.7%" in printed
    assert str(tmp_path / "report.html") in printed


def test_where_there_are_new_images_everything_shown_is_of_them(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of the three mistakes are on the first 8 images, which the network has learnt from."""
    seen = np.arange(36) < 8
    unseen = score(results.probabilities[~seen], results.images.labels[~seen], 2)
    known = replace(results.seen, identical=seen)
    results = replace(results, seen=known, unseen=unseen, plain_unseen=unseen)
    page = " ".join(page_of(results.of_new_images(), None).split())
    assert "are of the 28 images that the network was not trained on. On all" in page
    page = " ".join(evaluation_page(results, np.empty(0, np.int64), None, {}).decode().split())
    assert "On all 36 images, 8 of which it knows from its training" in page
    assert page.count("&times;&nbsp;1") == 2  # of its class, and of its pair
    assert "&times;&nbsp;2" not in page
    assert f"ECE) is the mean gap between confidence and accuracy, here {percent(ece(unseen))}" in (
        page
    )

    print_results(results, tmp_path)
    printed = " ".join(capsys.readouterr().out.split())
    assert "images 28 of 36 (validation), those not trained on" in printed
    assert f"accuracy {percent(27 / 28)}" in printed
    assert f"all 36 images accuracy {percent(33 / 36)}" in printed
    assert "r\\udcffi" not in printed  # nothing of it is mistaken


def ece(scores: Scores) -> float:
    return scores.reliability.ece


@pytest.mark.slow
@pytest.mark.browser
def test_the_page_opens_from_disk_without_a_network(
    page: Page, results: Results, maps: MistakeMaps, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(page_of(results, maps), encoding="utf-8")
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(file.as_uri(), wait_until="load")

    assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]
    assert complaints == []
    widths = page.locator("img").evaluate_all("images => images.map(i => i.naturalWidth)")
    # Three charts, 2 pairs with their pictures, 3 mistakes with their maps.
    assert len(widths) == 3 + (2 + 2) + (1 + 2) + 3 * 3
    assert min(widths) > 0
    assert page.title() == "Evaluation on validation"
    # On a narrow screen only tables and charts scroll sideways, never the page.
    page.set_viewport_size({"width": 500, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.slow
@pytest.mark.browser
def test_no_name_is_broken_within_a_word_and_no_row_of_the_pairs_is_cut_off(
    page: Page, of_many_classes: Results, tmp_path: Path
) -> None:
    heat = np.zeros((12, 8, 8), np.float32)
    file = tmp_path / "report.html"
    file.write_text(page_of(of_many_classes, MistakeMaps(heat, heat)), encoding="utf-8")
    page.goto(file.as_uri(), wait_until="load")
    pairs = page.locator(".pairs")
    assert pairs.evaluate("frame => frame.scrollHeight <= frame.clientHeight")
    assert pairs.locator("tbody tr").count() == min(18, len(of_many_classes.classes))
    assert page.locator(".classes tbody tr").count() == min(36, len(of_many_classes.classes))
    # A word that is broken has a rectangle for each of its lines.
    lines = page.evaluate(
        """() => {
            const nodes = document.createTreeWalker(document.querySelector("main"), 4);
            const counts = [];
            while (nodes.nextNode()) {
                const at = nodes.currentNode.data.indexOf("triggerfish");
                if (at < 0) continue;
                const word = document.createRange();
                word.setStart(nodes.currentNode, at);
                word.setEnd(nodes.currentNode, at + "triggerfish".length);
                counts.push(word.getClientRects().length);
            }
            return counts;
        }"""
    )
    assert len(lines) >= 2 * len(of_many_classes.classes[:20])
    assert set(lines) == {1}
