"""What is logged: with its frame in the log file of a run, alone on the terminal."""

from pathlib import Path

import pytest
from conftest import Command

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning")]


def test_the_time_and_the_origin_of_a_line_are_in_the_log_file_alone(
    train: Command, fish: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    for folder in (fish / "pictures").iterdir():
        copied = photos / folder.name
        copied.mkdir(parents=True)
        for file in sorted(folder.iterdir())[:6]:
            (copied / file.name).write_bytes(file.read_bytes())
    (copied / "broken.jpg").write_bytes(b"nothing")
    ended = train(f"data.root={photos}", "trainer.max_epochs=1", "hydra.run.dir=run")
    assert ended.status == 0, ended.err
    (line,) = [line for line in ended.out.splitlines() if "broken.jpg" in line]
    assert line.startswith(f"  {copied.name}/broken.jpg: ")
    assert "[WARNING]" not in ended.out
    (logged,) = [x for x in Path("run/train.log").read_text().splitlines() if "broken.jpg" in x]
    assert "[fishcnn.data.decoding.loading][WARNING] -   " in logged
