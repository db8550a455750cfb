"""The study that processes share: who has which trial, and what becomes of it."""

import os
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from fishcnn.commands.tune.space import Choice, Range
from fishcnn.commands.tune.study import Search, append_lines
from fishcnn.commands.tune.workers import SILENT_SECONDS, is_alive, working
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import JOURNAL, WORKERS

optuna = pytest.importorskip("optuna", reason="needs optuna: pip install -e '.[tune]'")

SPACE = (Range("a", 0.0, 1.0, log=False), Range("b", 1, 9, log=True), Choice("c", ("x", "y", None)))


def search(folder: Path, *, wanted: int = 4, **changes: Any) -> Search:
    settings: dict[str, Any] = {"random_trials": 3, "seed": 0, "pruning": (1, 1)} | changes
    return Search(folder, SPACE, wanted=wanted, **settings)


def test_trials_are_shared_by_processes_and_counted_together(tmp_path: Path) -> None:
    with working(tmp_path) as one, working(tmp_path) as other:
        values = []
        first, second = search(tmp_path), search(tmp_path)
        for number in range(4):
            asked, name = (first, one) if number % 2 else (second, other)
            found = asked.next_trial(name)
            assert found
            trial, drawn = found
            assert trial.number == number
            assert drawn.keys() == {"a", "b", "c"}
            values.append(tuple(drawn.values()))
            asked.study.tell(trial, drawn["a"])
        assert len(set(values)) == 4  # though both draw by the same seed
        assert first.next_trial(one) is None
        assert second.next_trial(other) is None
        again = search(tmp_path, wanted=5)
        assert again.next_trial(one) is not None
        assert again.next_trial(one) is None  # the fifth is running


def test_the_same_search_draws_the_same_values(tmp_path: Path) -> None:
    drawn = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with working(tmp_path / name) as worker:
            mine = search(tmp_path / name)
            for _ in range(4):
                found = mine.next_trial(worker)
                assert found
                drawn.append(found[1])
                mine.study.tell(found[0], found[1]["a"])
    assert drawn[:4] == drawn[4:]


# Takes a trial of the search in the folder of its argument, says so, and waits.
TAKES_ONE = """
import sys, time
from pathlib import Path
from fishcnn.commands.tune.space import Range
from fishcnn.commands.tune.study import Search
from fishcnn.commands.tune.workers import working
folder = Path(sys.argv[1])
with working(folder) as worker:
    space = (Range("a", 0.0, 1.0, log=False),)
    search = Search(folder, space, wanted=2, random_trials=3, seed=0, pruning=None)
    print(search.next_trial(worker)[1]["a"], flush=True)
    time.sleep(600)
"""


def test_what_a_killed_process_leaves_is_queued_again_and_nothing_else(tmp_path: Path) -> None:
    held = subprocess.Popen(
        [sys.executable, "-c", TAKES_ONE, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    try:
        assert held.stdout
        drawn = float(held.stdout.readline())
        space = (Range("a", 0.0, 1.0, log=False),)
        mine = Search(tmp_path, space, wanted=2, random_trials=3, seed=0, pruning=None)
        with working(tmp_path) as worker:
            found = mine.next_trial(worker)
            assert found  # a second one: the first is in good hands
            assert (found[0].number, found[1] == {"a": drawn}) == (1, False)
            mine.study.tell(found[0], 1.0)
            assert mine.next_trial(worker) is None
            held.send_signal(SIGKILL)
            held.wait()
            found = mine.next_trial(worker)
            assert found
            trial, values = found
            assert values == {"a": drawn}
            assert mine.run_of(trial).path == tmp_path / "000"  # where it goes on
            mine.study.tell(trial, 1.0)
            assert mine.next_trial(worker) is None
            assert [one.state.name for one in mine.study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]
            assert mine.failed() == []
    finally:
        held.kill()
        held.wait()
        if held.stdout:
            held.stdout.close()


def test_a_process_on_another_machine_is_alive_while_it_says_so(tmp_path: Path) -> None:
    with working(tmp_path) as worker:
        other = tmp_path / WORKERS / "elsewhere-4-abc"
        assert not is_alive(tmp_path, other.name, asking=worker)
        other.touch()
        assert is_alive(tmp_path, other.name, asking=worker)
        silent = time.time() - SILENT_SECONDS - 10
        os.utime(other, (silent, silent))
        assert not is_alive(tmp_path, other.name, asking=worker)
        assert is_alive(tmp_path, worker, asking=worker)
    assert list((tmp_path / WORKERS).iterdir()) == [other]


def test_other_settings_are_refused_with_both_values(tmp_path: Path) -> None:
    search(tmp_path).begin({"optimizer.name": "adam", "seed": 0}, None)
    search(tmp_path).begin({"optimizer.name": "adam", "seed": 0}, None)
    with pytest.raises(FishError) as caught:
        search(tmp_path).begin({"optimizer.name": "sgd", "x": {"low": 1, "log": False}}, None)
    for part in (
        "optimizer.name=sgd (adam in that study)",
        "without seed (0",
        "x={low: 1, log: false} (not set",
    ):
        assert part in str(caught.value)


def test_a_trial_is_pruned_by_the_median_of_the_others(tmp_path: Path) -> None:
    mine = search(tmp_path, wanted=3)
    with working(tmp_path) as worker:
        for loss, pruned in ((1.0, False), (2.0, True), (0.5, False)):
            found = mine.next_trial(worker)
            assert found
            found[0].report(loss, 1)
            assert found[0].should_prune() == pruned
            state = optuna.trial.TrialState.PRUNED if pruned else None
            mine.study.tell(found[0], None if pruned else loss, state=state)
    assert [one.number for one in mine.pruned()] == [1]
    assert [one.number for one in mine.finished()] == [0, 2]


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path) -> None:
    """As a kill in the middle of a write, or a power cut, leaves it."""
    search(tmp_path).begin({"seed": 0}, {"a": 0.5})
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"op_code":4,"wor')
    with working(tmp_path) as worker:
        found = search(tmp_path).next_trial(worker)
        assert found
        assert found[1]["a"] == 0.5
    assert len(search(tmp_path).study.trials) == 1


def test_a_full_disk_leaves_the_journal_as_it_was(small_disk: Path) -> None:
    file = small_disk / "journal"
    file.write_text("one\n")
    (small_disk / "other").write_bytes(bytes(1000 * 1024 - 8192))
    with pytest.raises(OSError, match="No space left"):
        append_lines(file, "x" * 100_000 + "\n")
    assert file.read_text() == "one\n"


def test_a_journal_of_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text("not a journal\nat all\n")
    with pytest.raises(
        FishError, match=r"journal.log is damaged .*: choose another folder by tune"
    ):
        search(tmp_path)
