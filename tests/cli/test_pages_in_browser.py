"""The pages that commands write, opened from disk in a browser without a network."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from running import run_and_read

from fishcnn.utils.run_folder import RunFolder

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    # Lightning turns its own warnings into output.
    pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning"),
]


def test_every_page_opens_by_itself_on_a_screen_of_any_width(
    page: Page, trained: RunFolder, copy: Path
) -> None:
    one, other, _ = sorted(copy.iterdir())
    image = next(one.iterdir())
    shutil.copy(image, other / f"<img src=x onerror=alert(1)>{image.name}")
    (other / "<script>alert(1)<.jpg").write_bytes(b"no image")
    other.rename(copy / "<b onclick=alert(1)>Tom & 'Jerry\"")
    commands = {
        "evaluate": (),
        "explain": ("input=copy",),
        "inspect_data": ("data.root=copy", "data.image_size=32", "data.workers=1"),
    }
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for command, settings in commands.items():
        status, printed = run_and_read(command, *settings, f"output=of_{command}")
        assert status == 0, printed
        file = Path(f"of_{command}/report.html").absolute()
        assert str(file) in printed
        page.set_viewport_size({"width": 1200, "height": 900})
        requests.clear()
        page.goto(file.as_uri(), wait_until="load")
        assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]
        widths = page.locator("img").evaluate_all("images => images.map(i => i.naturalWidth)")
        assert len(widths) >= 5
        assert min(widths) > 0
        assert page.locator("h2").last.inner_text() == "How this was made"
        # Only tables and charts scroll sideways, never the page.
        for width in (360, 800):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []
