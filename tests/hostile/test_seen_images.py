"""Evaluations on images that the network has learnt from: said, and the rest is judged alone."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps
from running import evaluated_copy

from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import percent


def rewrite(folder: Path, change: Callable[[Image.Image], Image.Image]) -> None:
    for file in folder.rglob("*.jpg"):
        change(Image.open(file).convert("RGB")).save(file, quality=80)


def test_the_images_of_the_training_are_counted_and_left_out_of_a_second_number(
    trained: RunFolder, copy: Path
) -> None:
    found, printed = evaluated_copy(trained)
    seen = found["trained_on"]
    assert (seen["identical"], seen["near_duplicates"], seen["validation"]) == (14, 0, 22)
    assert seen["not_checked"] is None
    # The others are the validation images, whose accuracy is known.
    summary = json.loads(trained.summary.read_text())
    assert seen["without"]["pictures_judged"] == 22
    assert seen["without"]["accuracy"] == pytest.approx(summary["val_acc"], abs=1e-6)
    # The honest number comes first, the other one below it.
    first, second = (percent(n["accuracy"]) for n in (seen["without"], found))
    words = " ".join(printed.split())
    assert re.search(
        rf"images 22 of 36 \(copy\), those not trained on accuracy {first} "
        rf"\(95% interval [\d.]+% to [\d.]+%; 22 images, none of them trained on\) .* "
        rf"all 36 images accuracy {second} \(95% interval [^)]+; 14 of them known from training\)",
        words,
    )
    page = (trained.evaluation("copy") / "report.html").read_text(encoding="utf-8")
    card = re.search(r'class="name">(.*?)</div><div class="value">(.*?)</div>', page)
    assert card
    assert card.groups() == ("accuracy on images not trained on", first)
    assert f"its accuracy is\n{second} (95% interval" in page
    # Confidences, too, are judged by the others alone.
    (line,) = found["calibration"]["lines"]
    assert line["ece"] == seen["without"]["ece"] != found["ece"]
    assert line["log_loss"] == seen["without"]["log_loss"]
    said = "The network was trained on 14 of these 36 images. On the other 22 its accuracy is "
    assert found["remarks"][0].startswith(said)
    assert "22 of these images are validation images" in found["remarks"][1]
    assert said in " ".join(printed.split())
    assert said in page


def test_what_was_written_anew_or_mirrored_is_found_by_what_it_shows(
    trained: RunFolder, copy: Path
) -> None:
    rewrite(copy, ImageOps.mirror)
    seen = evaluated_copy(trained)[0]["trained_on"]
    assert seen["identical"] == 0
    assert seen["near_duplicates"] >= 12
