"""Contenders that take turns: what they report, and that only one of them trains at a time."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from fishcnn.benchmark import engine, limit, plain
from fishcnn.benchmark.jpegs import draw_jpegs
from fishcnn.benchmark.process import environment_of
from fishcnn.benchmark.training import MET, MISSED, UNCLEAR, compare
from fishcnn.benchmark.turns import Turn, Turns, contender
from fishcnn.utils.errors import FishError

SETTINGS = {"blocks": 2, "batch": 4, "classes": 4, "steps": 2, "image_size": 32, "workers": 0}
SETTINGS["stream"] = False


def turns_of(orders: int, seconds: float) -> tuple[Turns, io.StringIO]:
    """The turns of a contender that is told to go so often."""
    reports = io.StringIO()
    return Turns(io.StringIO("go\n" * orders), reports, seconds), reports


def reported(reports: io.StringIO) -> list[Turn]:
    return [Turn(**json.loads(line)) for line in reports.getvalue().splitlines()]


def test_the_first_turn_is_one_epoch_and_the_others_last_as_long_as_told() -> None:
    turns, reports = turns_of(3, seconds=5.0)
    while turns.more():
        turns.add(10, seconds=2.0, waited=0.5)
    assert reported(reports) == [Turn(10, 2.0, 0.5), Turn(30, 6.0, 1.5), Turn(30, 6.0, 1.5)]


def test_a_turn_is_timed_from_its_order_on() -> None:
    turns, reports = turns_of(2, seconds=0.0)
    while turns.more():
        turns.add(1)
    first, second = reported(reports)
    assert 0 < first.seconds < 1
    assert 0 < second.seconds < 1


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")
@pytest.mark.parametrize("module", [plain, limit, engine])
def test_each_contender_reports_all_of_its_turns(tmp_path: Path, module: Any) -> None:
    root = draw_jpegs(tmp_path, "small", train=8, val=4, workers=1)
    turns, reports = turns_of(3, seconds=0.0)
    module.train({**SETTINGS, "root": str(root)}, turns)
    found = reported(reports)
    assert [turn.images for turn in found] == [8, 8, 8]
    for turn in found:
        assert turn.seconds > 0
        assert 0 <= turn.waited <= turn.seconds


def test_a_contender_waits_in_its_own_process_until_it_is_its_turn(tmp_path: Path) -> None:
    how: dict[str, Any] = {"seconds": 0.0, "threads": 1, "folder": tmp_path}
    with contender("limit", SETTINGS, **how) as one, contender("limit", SETTINGS, **how) as other:
        taken = [one.take_turn(), other.take_turn(), one.take_turn()]
        assert one.peak_memory > 5e7
    assert [turn.images for turn in taken] == [8, 8, 8]


def test_a_contender_leaves_nothing_outside_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    root = draw_jpegs(tmp_path, "small", train=8, val=4, workers=1)
    settings = {**SETTINGS, "root": str(root)}
    with contender("engine", settings, seconds=0.0, threads=1, folder=folder) as one:
        one.take_turn()
    assert not [*elsewhere.rglob("*.npy"), *elsewhere.glob("tmp*")]


def test_a_contender_that_fails_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    how: dict[str, Any] = {"seconds": 0.0, "threads": 1, "folder": tmp_path}
    settings = {**SETTINGS, "root": str(tmp_path / "missing")}
    with contender("plain", settings, **how) as one, pytest.raises(FishError, match="missing"):
        one.take_turn()


@pytest.mark.parametrize(
    ("speeds", "verdict"),
    [([98, 99, 97], MET), ([90, 91, 90], MISSED), ([90, 99, 97], UNCLEAR), ([94, 97, 95], UNCLEAR)],
)
def test_a_target_is_met_or_missed_only_where_the_whole_interval_says_so(
    speeds: list[int], verdict: str
) -> None:
    turns, limits = [Turn(speed, 1.0, 0.0) for speed in speeds], [Turn(100, 1.0, 0.0)] * 3
    found = compare(turns, limits, 0.95)
    assert found["verdict"] == verdict
    assert found["interval"][0] < found["value"] < found["interval"][1]


def test_rounds_on_a_slow_machine_count_as_much_as_others() -> None:
    fast, slow = Turn(100, 1.0, 0.0), Turn(100, 3.0, 0.0)
    found = compare([fast, slow, slow], [fast, slow, slow], None)
    assert found["value"] == pytest.approx(1)
    assert found["interval"] == pytest.approx([1, 1])
    assert found["verdict"] is None


def test_a_contender_finds_the_packages_that_this_process_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(("elsewhere", "there")))
    package, *others = environment_of(None)["PYTHONPATH"].split(os.pathsep)
    assert (Path(package) / "fishcnn").is_dir()
    assert others == ["elsewhere", "there"]
    monkeypatch.delenv("PYTHONPATH")
    assert environment_of(None)["PYTHONPATH"] == package
