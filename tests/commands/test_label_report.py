"""Wrong labels among rendered fish, whose folders say the truth."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import torch

from fishcnn.commands.build import build_datamodule, compose_config
from fishcnn.commands.label_report import LabelReport
from fishcnn.commands.probed_images import probed_images
from fishcnn.training.probe.out_of_fold import ProbedImages


@pytest.mark.slow
def test_of_labels_that_were_swapped_most_stand_first_and_their_number_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in twenty, three times: of as many rows at the top, four in five are of these."""
    monkeypatch.setenv("FISHCNN_CACHE", str(tmp_path))
    settings = ("data=synthetic", "data.species=5", "data.pictures_per_class=40", "data.cache=ram")
    config = compose_config(*settings)
    datamodule = build_datamodule(config)
    datamodule.setup()
    images, groups = datamodule.images, datamodule.splitting.groups
    features = probed_images(config, images, groups).features
    truth, kept = images.labels, np.ones(200, np.bool_)
    found, looked_at = [], []
    for seed in range(3):
        draw = np.random.default_rng(seed)
        swapped = draw.choice(200, 10, replace=False)
        labels = truth.copy()
        labels[swapped] = (labels[swapped] + draw.integers(1, 5, 10)) % 5
        judged = ProbedImages(features, torch.from_numpy(labels), groups, 5).out_of_fold()
        report = LabelReport.of(images.corrected(labels, kept), judged, "a linear probe")
        table = csv.DictReader(io.StringIO(report.table().decode("utf-8-sig")))
        first = [row["path"] for row in table][:10]
        found += [path in {images.paths[row].as_posix() for row in swapped} for path in first]
        looked_at.append(report.issues.clear)
        assert f"Look at the first {report.issues.clear}: " in report.lines()[0]
    assert np.mean(found) >= 0.8
    assert 6 <= np.mean(looked_at) <= 15
