"""data.root= in every script that looks at the images of a run."""

import shutil
from pathlib import Path

import pytest
from running import images_of, run_and_read

from fishcnn.utils.run_folder import RunFolder

pytestmark = [
    # Lightning turns its own warnings into output.
    pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning"),
]


@pytest.mark.parametrize(
    ("script", "more"),
    [
        ("evaluate", []),
        ("predict", []),
        ("explain", ["pictures=1", "measured=1"]),
        ("export", ["formats=torch"]),
    ],
)
def test_the_images_are_taken_from_where_they_are_now(
    trained: RunFolder, script: str, more: list[str]
) -> None:
    before = images_of(trained)
    shutil.copytree(before, "here/images")
    shutil.copytree(before.parent / "masks", "here/masks")
    config = trained.config.read_text(encoding="utf-8")
    trained.config.write_text(config.replace(str(before.parent), "/gone"), encoding="utf-8")
    status, printed = run_and_read(script, *more)
    assert (status, "data.root=/where/they/are/now" in printed) == (1, True)
    status, printed = run_and_read(script, "data.root=here/images", *more)
    assert status == 0, printed


def test_a_prediction_names_the_images_where_they_are_now(trained: RunFolder) -> None:
    shutil.copytree(images_of(trained), "here")
    assert run_and_read("predict", "data.root=here")[0] == 0
    rows = (trained.path / "predictions.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(rows) == 22
    assert all(row.startswith(str(Path("here").absolute())) for row in rows)
