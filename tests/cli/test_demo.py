"""The page of scripts/demo.py: what it makes of a photo, and what a person sees in a browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from networks import small_classifier
from omegaconf import OmegaConf
from PIL import ExifTags, Image

from fishcnn.cam.layers import block_layers
from fishcnn.cam.methods import METHODS
from fishcnn.commands.demo import Explained, demo, explain_photo
from fishcnn.data.datamodule import FishDataModule
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import RunFolder

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install -e '.[test]'"
)
REPOSITORY = Path(__file__).parents[2]
chromium = shutil.which("chromium")
CHROMIUM = (
    "--no-sandbox",  # it refuses root otherwise
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MAX_MB = 0.05


@pytest.fixture
def classifier(datamodule: FishDataModule) -> FishClassifier:
    """A network of random weights."""
    flatten = {"head": "flatten"}
    return small_classifier(
        datamodule.classes, mean=datamodule.mean, std=datamodule.std, model=flatten
    ).eval()


@pytest.fixture
def photo(fish: Path, tmp_path: Path) -> Path:
    """A rendered fish, stored lying on its side as a telephone stores it."""
    return lying_photo(fish, tmp_path)


def lying_photo(fish: Path, folder: Path) -> Path:
    first = min((fish / "pictures").rglob("*.jpg"))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = folder / "lying.jpg"
    with Image.open(first) as picture:
        picture.resize((80, 40)).save(path, exif=exif)
    return path


def explained(classifier: FishClassifier, photo: Path, **changes: Any) -> Explained:
    settings: dict[str, Any] = {"target": None, "layer": "blocks.1", "method": "gradcam", **changes}
    return explain_photo(classifier, photo, **settings)


def test_the_overlay_stands_upright_in_the_photos_own_proportions(
    classifier: FishClassifier, photo: Path
) -> None:
    shown = explained(classifier, photo, method="eigencam")
    assert shown.photo.shape == shown.overlay.shape == (800, 400, 3)
    # At least 0.4 of the photo stays, and the map is not the same everywhere.
    laid_over = shown.overlay.astype(float) - 0.4 * shown.photo
    assert laid_over.min() > -1
    assert (shown.overlay.astype(float) - shown.photo).std((0, 1)).max() > 10


def test_the_page_and_predict_give_the_same_calibrated_probabilities(
    classifier: FishClassifier, photo: Path
) -> None:
    classifier.temperature.fill_(0.1)
    shown = explained(classifier, photo)
    expected = classifier.predict(photo)[0]
    assert shown.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    assert expected.label in shown.note


def test_every_class_layer_and_method_has_a_map_of_its_own(
    classifier: FishClassifier, photo: Path
) -> None:
    def different(name: str, values: Sequence[Any]) -> int:
        # Of random weights, Grad-CAM itself finds no evidence for some of the classes.
        choices = [{"method": "hirescam", name: value} for value in values]
        return len({explained(classifier, photo, **choice).overlay.tobytes() for choice in choices})

    assert different("target", [0, 1, 2]) == 3
    side = classifier.image_size
    assert different("layer", block_layers(classifier.network, torch.zeros(1, 3, side, side))) == 2
    assert different("method", list(METHODS)) == len(METHODS)
    assert classifier.classes[2] in explained(classifier, photo, target=2).note


def test_a_map_without_evidence_says_so(classifier: FishClassifier, photo: Path) -> None:
    *_, last = (part for part in classifier.modules() if isinstance(part, torch.nn.Linear))
    torch.nn.init.zeros_(last.weight)
    shown = explained(classifier, photo, target=1)
    assert shown.note.startswith("The map is empty: nothing in layer blocks.1 speaks for")
    np.testing.assert_array_equal(shown.overlay, shown.photo)


def test_a_network_of_nan_is_refused_in_words(classifier: FishClassifier, photo: Path) -> None:
    torch.nn.init.constant_(next(classifier.network.parameters()), float("nan"))
    with pytest.raises(FishError, match="training has diverged"):
        explained(classifier, photo)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("port", 0),
        ("port", 65536),
        ("port", "a"),
        ("max_file_mb", 0),
        ("max_megapixels", -1),
        ("max_megapixels", float("inf")),
    ],
)
def test_settings_out_of_range_are_named(setting: str, value: object) -> None:
    config = OmegaConf.load(REPOSITORY / "conf" / "demo.yaml")
    config[setting] = value
    with pytest.raises(FishError, match=f"^{setting}={value}: must be"):
        demo(config)


def test_without_gradio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fishcnn.commands.demo.find_spec", lambda _: None)
    with pytest.raises(FishError, match=re.escape('pip install -e ".[demo]"')):
        demo(OmegaConf.load(REPOSITORY / "conf" / "demo.yaml"))


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(chromium is None, reason="needs Debian's chromium: apt-get install chromium")
def test_a_dropped_photo_gets_its_species_and_overlay_in_the_browser(
    trained: RunFolder, fish: Path, tmp_path: Path
) -> None:
    classifier = FishClassifier.load_from_checkpoint(trained.best_checkpoint, map_location="cpu")
    path = lying_photo(fish, tmp_path)
    expected = classifier.predict(path)[0].label
    other = next(name for name in classifier.classes if name != expected)

    # It stands in the folder of the runs, and takes the latest of them.
    with demo_server(tmp_path, Path.cwd(), f"max_file_mb={MAX_MB}", "max_megapixels=1") as (
        server,
        url,
    ):
        with browser(url) as (page, hosts):
            assert upload(page, path) == size(page, "Photo") == (400, 800)
            assert f"speaks for {expected} " in remark(page)
            species = page.get_by_test_id("label-output-value")
            assert species.inner_text().strip() == expected
            page.screenshot(path=tmp_path / "desktop.png")

            options = page.get_by_role("button", name="Another class, layer or method")
            options.click()
            for setting, choice in (
                ("Method", "layercam"),
                ("Layer", "blocks.0.2"),
                ("Class", other),
            ):
                before = source(page, "Overlay")
                page.get_by_role("combobox", name=setting).click()
                page.get_by_role("option", name=choice, exact=True).click()
                page.locator("[role=status]", has_text=choice).wait_for()
                assert source(page, "Overlay") != before
            assert remark(page).startswith(f"layercam shows what speaks for {other} (")

            check_refusals(page, tmp_path)
            check_strangers(url)
            # And it goes on after that.
            assert upload(page, path) == (400, 800)

            options.click()
            page.set_viewport_size({"width": 400, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= 400
            # The answer is seen without scrolling, and all options are below it.
            answer = species.bounding_box()
            below = options.bounding_box()
            assert answer
            assert below
            assert answer["y"] + answer["height"] < 800
            assert below["y"] > answer["y"]
            page.screenshot(path=tmp_path / "phone.png", full_page=True)

            port = urlsplit(url).port
            second = subprocess.run(
                command(f"port={port}"), capture_output=True, text=True, timeout=300
            )
            assert second.returncode == 1
            assert second.stderr.startswith(f"error: port {port} is in use")

            # Ctrl-C, while a page is open.
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=120) == 130
        assert hosts - {None} == {"127.0.0.1"}  # None: what the page carries within itself
    assert "Traceback" not in log(tmp_path)
    assert list((tmp_path / "temporary").iterdir()) == []


def check_refusals(page: Page, folder: Path) -> None:
    """Files that are no photo, too many pixels or too many bytes; none leaves the last map up."""
    text, bomb, heavy = folder / "x.jpg", folder / "bomb.png", folder / "heavy.bmp"
    text.write_text("These are no pixels.")
    Image.new("1", (1100, 1000)).save(bomb)
    Image.new("RGB", (200, 200)).save(heavy)

    put(page, text)
    playwright.expect(page.get_by_role("alert")).to_have_text(
        "x.jpg cannot be read as a photo: not an image in any known format."
    )
    playwright.expect(page.get_by_alt_text("Overlay")).to_have_count(0)
    put(page, bomb)
    playwright.expect(page.get_by_role("alert")).to_contain_text("bomb.png cannot be read")
    put(page, heavy)
    toast = page.get_by_text('exceed the maximum allowed size of 51.2 KB: "heavy.bmp"')
    playwright.expect(toast.first).to_be_visible()
    playwright.expect(drop_zone(page)).to_be_visible()


def check_strangers(url: str) -> None:
    """Pages of other sites, and sites whose names lead here, are answered with 403."""
    host = urlsplit(url).netloc

    def status(**headers: str) -> int:
        connection = HTTPConnection(host, timeout=20)
        connection.request("GET", "/config", headers=headers)
        answer = connection.getresponse().status
        connection.close()
        return answer

    assert status() == status(Origin=f"http://{host}") == 200
    assert status(Origin="http://evil.example") == status(Origin="null") == 403
    assert status(Host="evil.example") == 403


def command(*overrides: str) -> list[str]:
    return [sys.executable, str(REPOSITORY / "scripts" / "demo.py"), *overrides]


@contextmanager
def demo_server(
    folder: Path, here: Path, *overrides: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start the script, standing here, with its log in a folder, and give its address."""
    temporary = folder / "temporary"
    temporary.mkdir()
    environment = {
        **os.environ,
        "TMPDIR": str(temporary),
        # Nobody is there: the page must do without.
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    with (
        (folder / "demo.log").open("w") as output,
        subprocess.Popen(
            command(*overrides), cwd=here, env=environment, stdout=output, stderr=output
        ) as server,
    ):
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and server.poll() is None:
                if address := re.search(r"http://127\.0\.0\.1:\d+/", log(folder)):
                    break
                time.sleep(0.1)
            else:
                raise AssertionError(f"the page is not there:\n{log(folder)}")
            yield server, address[0]
        finally:
            server.kill()


def log(folder: Path) -> str:
    return (folder / "demo.log").read_text()


@contextmanager
def browser(url: str) -> Iterator[tuple[Page, set[str | None]]]:
    """The page, and the hosts that it has asked for anything."""
    hosts: set[str | None] = set()
    with playwright.sync_playwright() as driver:
        window = driver.chromium.launch(executable_path=chromium, args=CHROMIUM, headless=True)
        page = window.new_page(viewport={"width": 1300, "height": 900})
        page.set_default_timeout(20_000)
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.on("websocket", lambda socket: hosts.add(urlsplit(socket.url).hostname))
        page.goto(url)
        yield page, hosts
        window.close()


def put(page: Page, path: Path) -> None:
    """Put a file on the page in place of the one that is there."""
    page.get_by_role("button", name="Another class, layer or method").wait_for()
    if not drop_zone(page).is_visible():
        page.get_by_label("Clear").click()
    page.locator("input[type=file]").set_input_files(path)


def drop_zone(page: Page) -> Locator:
    return page.get_by_text("Drop File Here")


def upload(page: Page, path: Path) -> tuple[int, int]:
    """Upload a photo and wait for its overlay, of which this is width and height."""
    put(page, path)
    page.locator("p[role=status]").wait_for()
    return size(page, "Overlay")


def size(page: Page, name: str) -> tuple[int, int]:
    image = page.get_by_alt_text(name)
    width, height = image.evaluate("i => i.decode().then(() => [i.naturalWidth, i.naturalHeight])")
    return width, height


def source(page: Page, name: str) -> str | None:
    return page.get_by_alt_text(name).get_attribute("src")


def remark(page: Page) -> str:
    return page.locator("p[role=status]").inner_text()
