"""What a training says before its first epoch, and whether an inspection counts the same."""

import html
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Command = Callable[..., Any]

QUICK = [
    "data=folder",
    "data.image_size=32",
    "data.batch_size=8",
    "data.val_fraction=0.3",
    "model.blocks=1",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=1",
    "trainer.precision=32-true",
    "callbacks.grad_cam.enabled=false",
]


def planted(folder: Path) -> Path:
    """Photos of two classes: a copy in its own class, one in the other, and a damaged file."""
    generator = np.random.default_rng(3)
    for name, count in (("Koi", 12), ("Rui", 7)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            coarse = Image.fromarray(generator.integers(0, 256, (12, 16, 3), np.uint8))
            coarse.resize((160, 120), Image.Resampling.BICUBIC).save(
                folder / name / f"{number}.png"
            )
    Image.open(folder / "Koi" / "0.png").save(folder / "Koi" / "again.jpg", quality=90)
    Image.open(folder / "Koi" / "1.png").save(folder / "Rui" / "moved.jpg", quality=90)
    (folder / "Rui" / "broken.png").write_bytes((folder / "Rui" / "0.png").read_bytes()[:900])
    return folder


def test_five_lines_come_before_the_first_epoch_and_count_as_an_inspection_does(
    script: Command, tmp_path: Path
) -> None:
    folder, run = planted(tmp_path / "my photos"), tmp_path / "run"
    done = script("train", *QUICK, f"data.root={folder}", f"hydra.run.dir={run}")
    assert done.status == 0, done.err
    printed = done.out.splitlines()
    first = next(k for k, line in enumerate(printed) if line.startswith("epoch 1/1"))
    lines = printed[first - 5 : first]
    assert [line[:9] for line in lines] == [
        "data     ",
        "found    ",
        "network  ",
        "device   ",
        "run      ",
    ]
    assert f"{folder}: 2 classes, 21 images in 19 groups (" in lines[0]
    assert re.search(r"\(\d+ train, \d+ val\)", lines[0])
    assert lines[1] == (
        "found    1 label conflict, 4 near-duplicates in 2 groups, 1 unreadable file, "
        "8 to 13 images a class; see data.md in the run folder"
    )
    assert re.fullmatch(
        r"network  cnn of 1 block: [\d,]+ parameters, all trainable; sees 32 x 32 pixels", lines[2]
    )
    assert re.fullmatch(r"device   CPU, \d+ threads?, precision 32-true", lines[3])
    assert lines[4] == f"run      {run}; to watch: tensorboard --logdir {run}"
    assert sum(line.startswith("found    ") for line in printed) == 1

    report = (run / "data.md").read_text()
    (command,) = re.findall(r"`+ ?python scripts/inspect_data.py (.*?) ?`+", report)
    typed = shlex.split(command)
    assert typed == [f"data.root={folder}", "data.image_size=32", "data.val_fraction=0.3"]
    assert script("inspect_data", *typed, "output=found").status == 0
    found = json.loads((tmp_path / "found" / "report.json").read_text())
    assert (len(found["label_conflicts"]), len(found["unreadable"])) == (1, 1)
    assert list(map(len, found["duplicate_groups"])) == [2, 2]
    # Every sentence of the report about near-duplicates and leaks is in the inspection's, too.
    page = html.unescape((tmp_path / "found" / "report.html").read_text(encoding="utf-8"))
    section = report.split("## Near-duplicates")[1].split("\n## ")[0]
    sentences = [line[2:].replace("\\", "") for line in section.splitlines() if line[:2] == "- "]
    assert sentences
    assert [text for text in sentences if text not in " ".join(page.split())] == []
    leaks = len(found["leaked_by_random_split"])
    assert (f"validated on {leaks} image" in section) == bool(leaks)
