"""What a person sees who trains and then opens TensorBoard."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.conftest import Command

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install -e '.[test]'"
)
chromium = shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(
        chromium is None, reason="needs Debian's chromium: apt-get install chromium"
    ),
]

NAMES = ("0/blocks=1", "1/blocks=2")  # of the runs, in every tab
RUNS = len(NAMES)
BEST = "accuracy_and_loss/accuracy"
EPOCHS = 2
ITERATIONS = 8  # 29 training pictures in batches of 8, twice
CHROMIUM = (
    "--no-sandbox",  # it refuses root otherwise
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Visible order of columns and rows; the elements themselves lie about in order of creation.
GRID_TEXT = """grid => [...grid.shadowRoot.querySelectorAll('#header tr, #items tr')].map(
    row => [...row.querySelectorAll('slot')].map(
        slot => slot.assignedNodes().map(node => node.textContent.trim()).join('')))"""


def test_tensorboard_shows_maps_curves_and_a_table_of_both_runs(
    train: Command, tiny: list[str], tmp_path: Path
) -> None:
    sweep = tmp_path / "sweep"
    finished = train("-m", *tiny, "model.blocks=1,2", f"hydra.sweep.dir={sweep}")
    assert finished.status == 0, finished.err

    with tensorboard(sweep, tmp_path) as url, browser(tmp_path / "profile") as page:
        check_start(page, url)
        check_images(page, url)
        check_scalars(page, url)
        check_text(page, url)
        check_graph(page, url)
        check_hparams(page, url, sweep)


def check_start(page: Page, url: str) -> None:
    page.goto(url)
    # Accuracy and loss on top, before anybody has clicked.
    groups = page.locator("metrics-card-group-toolbar .group-title-wrapper")
    playwright.expect(groups.first).to_contain_text("accuracy_and_loss")
    for title in ("accuracy", "loss"):
        card = page.locator("scalar-card").filter(
            has=page.get_by_text(f"accuracy_and_loss/{title}", exact=True)
        )
        for name in NAMES:
            for split in ("train", "val"):
                playwright.expect(card.get_by_text(f"{name}/{split}", exact=True)).to_be_attached()
    photograph(page, "start")


def check_images(page: Page, url: str) -> None:
    open_tab(page, url, "images")
    page.locator("tf-category-paginated-view").get_by_role("button", name="val").click()
    for tag in ("cam/grad_cam", "train/batch", "val/confusion_matrix"):
        cards = page.locator("tf-image-loader").filter(has=page.get_by_text(tag, exact=True))
        playwright.expect(cards.locator("img")).to_have_count(RUNS)
        for picture in cards.locator("img").all():
            assert picture.evaluate("img => img.decode().then(() => img.naturalWidth)") > 200
    photograph(page, "images")
    # The slider above a map goes back to the first epoch.
    maps = page.locator("tf-image-loader").filter(has=page.get_by_text("cam/grad_cam", exact=True))
    for slider in maps.locator("paper-slider").all():
        slider.press("Home")
    playwright.expect(maps.get_by_text("step 1", exact=True)).to_have_count(RUNS)


def check_scalars(page: Page, url: str) -> None:
    points = {
        "train/loss": EPOCHS,
        "val/loss": EPOCHS,
        "val/accuracy": EPOCHS,
        "cam/average_drop": EPOCHS,
        "system/seconds": EPOCHS,
        "train/loss_per_iteration": ITERATIONS,
    }
    open_tab(page, url, "scalars")
    dashboard = page.locator("tf-scalar-dashboard")
    # With the few points of a short fit it takes whole curves for outliers and leaves them out.
    dashboard.get_by_role("checkbox", name="Ignore outliers in chart scaling").uncheck()
    dashboard.locator("tf-tag-filterer input").fill(f"^({'|'.join(points)})$")
    matching = dashboard.locator("tf-category-paginated-view").first
    for tag, count in points.items():
        card = matching.locator("tf-scalar-card").filter(has=page.get_by_text(tag, exact=True))
        curves = card.locator(".line-plot:not(.ghost) path.line")
        playwright.expect(curves).to_have_count(RUNS)
        for index in range(RUNS):
            # M x,y L x,y L x,y ...
            playwright.expect(curves.nth(index)).to_have_attribute(
                "d", re.compile(rf"^M[^ML]+(L[^ML]+){{{count - 1}}}$")
            )
    photograph(page, "scalars")


def check_text(page: Page, url: str) -> None:
    open_tab(page, url, "text")
    verdicts = page.locator("tf-text-loader").get_by_text("Too short")
    playwright.expect(verdicts).to_have_count(RUNS)
    photograph(page, "text")


def check_graph(page: Page, url: str) -> None:
    runs = get(f"{url}data/plugin/graphs/info")
    assert [run["run_graph"] for run in runs.values()] == [True] * RUNS
    open_tab(page, url, "graphs")
    network = page.locator("tf-graph-dashboard svg text").filter(has_text="FishCNN")
    playwright.expect(network).to_be_visible()
    photograph(page, "graphs")


def check_hparams(page: Page, url: str, sweep: Path) -> None:
    open_tab(page, url, "hparams")
    grid = page.locator("tf-hparams-table-view vaadin-grid")
    playwright.expect(grid.get_by_text("model.blocks", exact=True)).to_be_visible()
    header, *rows = grid.evaluate(GRID_TEXT)
    table = {row[0]: dict(zip(header, row, strict=False)) for row in rows}
    photograph(page, "hparams")

    # Accuracy and then what varied, without a click.
    metrics = (f"{split}.{BEST}" for split in ("train", "val"))
    assert header[2:6] == [*sorted(["accuracy", "model.blocks"]), *metrics]
    assert set(table) == set(NAMES)
    for job, blocks in enumerate((1, 2)):
        shown = next(row for trial, row in table.items() if trial.split("/")[0] == str(job))
        with (sweep / str(job) / "metrics.csv").open(encoding="utf-8") as file:
            last_epoch = list(csv.DictReader(file))[-1]
        summary = json.loads((sweep / str(job) / "summary.json").read_text(encoding="utf-8"))
        assert float(shown["model.blocks"]) == blocks
        assert float(shown["accuracy"]) == pytest.approx(summary["val_acc"], rel=1e-4)
        for split in ("train", "val"):
            for key, title in (("acc", "accuracy"), ("loss", "loss")):
                # TensorBoard rounds to five digits.
                expected = pytest.approx(float(last_epoch[f"{split}_{key}"]), rel=1e-4)
                assert float(shown[f"{split}.accuracy_and_loss/{title}"]) == expected, title
        accuracy = float(shown[f"val.{BEST}"])
        assert accuracy == pytest.approx(summary["last_val_acc"], rel=1e-4)


@contextmanager
def tensorboard(logdir: Path, folder: Path) -> Iterator[str]:
    """Serve a folder, and give the address once both runs have been read to the end."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir)]
    command += ["--host", "127.0.0.1", "--port", "0"]
    command += ["--samples_per_plugin", "images=200", "--load_fast=false"]
    log = folder / "tensorboard.log"
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as server:
        try:
            yield wait_until_loaded(server, log)
        finally:
            server.terminate()


def wait_until_loaded(server: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline and server.poll() is None:
        address = re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())
        if address:
            texts = get(f"{address[0]}data/plugin/text/tags")
            # The diagnosis is the last thing that a run writes.
            loaded = [run for run, tags in texts.items() if "diagnosis/text_summary" in tags]
            if len(loaded) == RUNS:
                return address[0]
        time.sleep(0.1)
    raise AssertionError(f"TensorBoard has not shown the runs:\n{log.read_text()}")


def get(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return json.load(answer)


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    with playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            profile,
            executable_path=chromium,
            args=CHROMIUM,
            headless=True,
            viewport={"width": 1600, "height": 1000},
        )
        page = context.pages[0]
        page.set_default_timeout(20_000)
        playwright.expect.set_options(timeout=20_000)
        yield page
        context.close()


def open_tab(page: Page, url: str, name: str) -> None:
    page.goto(f"{url}#{name}")


def photograph(page: Page, name: str) -> None:
    page.screenshot(path=f"{name}.png")  # the test stands in its own empty folder
