"""Ranks, verdicts and what was varied, of runs whose answers are known."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from fishcnn.commands.build import compose_config
from fishcnn.commands.command_line import remember
from fishcnn.commands.compare.compare import compare
from fishcnn.commands.compare.found_runs import find_runs
from fishcnn.commands.compare.leaderboard import Ranking, command_of, leaderboard
from fishcnn.commands.compare.leaderboard_files import page, runs_table
from fishcnn.commands.compare.leaderboard_rows import to_json
from fishcnn.commands.run_state import RunState
from fishcnn.commands.train.manifest import Manifest, PlannedJob, settings_in
from fishcnn.data.splitting.split_digests import SplitDigests
from fishcnn.metrics.intervals import seeds_interval, wilson_interval
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import SWEEP_SETTINGS, RunFolder

MakeRun = Callable[..., RunFolder]


def ranked(folder: Path) -> Ranking:
    (found,) = leaderboard(find_runs([str(folder)]))
    return found


def order(found: Ranking) -> list[str]:
    return [found.label(one) for one in found.board.ranked]


def test_better_is_said_only_beyond_the_noise(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("0", "model.blocks=2", answers="1" * 30 + "0" * 30)
    make_run("1", "model.blocks=3", answers="1" * 45 + "0" * 15)
    make_run("2", "model.blocks=4", answers="1" * 44 + "0" * 16)
    found = ranked(tmp_path)
    assert order(found) == ["blocks=3", "blocks=4", "blocks=2"]
    assert found.verdict(0) == "the best here"
    # One discordant image of 60: Connor's formula at 0.05 / 3.
    assert found.verdict(1) == "not distinguishable on 60 images; about 630 needed"
    # 15 to 0: 2 / 2**15, of three comparisons.
    assert found.verdict(2) == "worse by 25.0 percentage points (p = 0.00018)"
    pair = found.pairs.pairs[0, 2]
    assert pair.found.p_value == pytest.approx(2**-14)
    assert pair.adjusted == pytest.approx(3 * 2**-14)
    said = " ".join(found.sentences())
    assert "It is better than 1 of 2 others, and not distinguishable from 1 on 60 images." in said
    assert "McNemar's exact test" in said
    assert "3 comparisons" in said


def test_folds_are_pooled_and_compared_on_all_images(make_run: MakeRun, tmp_path: Path) -> None:
    for number, (blocks, first, second) in enumerate(((2, "1100", "10"), (3, "1111", "11"))):
        for fold, text in enumerate((first, second)):
            images = {4 * fold + place: letter for place, letter in enumerate(text)}
            typed = (f"model.blocks={blocks}", "data.folds=2", f"data.fold={fold}")
            make_run(str(2 * number + fold), *typed, answers=images)
    found = ranked(tmp_path)
    best, other = found.board.ranked
    assert order(found) == ["blocks=3", "blocks=2"]
    assert (best.accuracy, other.accuracy) == (1, 0.5)
    assert other.interval == pytest.approx(wilson_interval(3, 6))
    assert other.images == 6
    assert found.pairs.pairs[0, 1].found.images == 6
    assert found.pairs.pairs[0, 1].found.p_value == pytest.approx(2 / 2**3)
    assert found.repeats == ["data.fold"]
    # The folds are no noise of the effect of a setting.
    assert found.knobs.knobs[0].effect.means == pytest.approx([0.5, 1])


def test_a_fold_that_is_harder_is_no_noise_of_a_setting(make_run: MakeRun, tmp_path: Path) -> None:
    for name, answers in (("2-0", "1000"), ("2-1", "1110"), ("3-0", "1100"), ("3-1", "1111")):
        blocks, fold = map(int, name.split("-"))
        images = {4 * fold + place: letter for place, letter in enumerate(answers)}
        typed = (f"model.blocks={blocks}", "data.folds=2", f"data.fold={fold}")
        make_run(name, *typed, answers=images)
    (knob,) = ranked(tmp_path).knobs.knobs
    assert knob.effect.means == pytest.approx([0.5, 0.75])
    # Nothing but that four images let an accuracy be a quarter more or less.
    rounding = 12.706 * math.sqrt((1 / 4) ** 2 / 12 / 4)
    assert knob.effect.half_widths == pytest.approx([rounding] * 2, rel=1e-4)


def test_seeds_are_averaged_and_their_scatter_counts(make_run: MakeRun, tmp_path: Path) -> None:
    for blocks, shares in ((2, (40, 60)), (3, (58, 62))):
        for seed, hits in enumerate(shares):
            typed = (f"model.blocks={blocks}", f"seed={seed}")
            make_run(f"{blocks}-{seed}", *typed, answers="1" * hits + "0" * (80 - hits))
    found = ranked(tmp_path)
    best, other = found.board.ranked
    assert best.accuracy == pytest.approx(60 / 80)
    assert other.interval == pytest.approx(seeds_interval([40 / 80, 60 / 80], 80))
    assert found.pairs.pairs[0, 1].found.seed_variance > 0
    assert found.verdict(1) == "not distinguishable on 80 images; more seeds needed"
    said = found.sentences()
    assert any(
        "Compared by Student's t, which speaks of other images and other seeds; 1" in one
        for one in said
    )
    assert "The 95% intervals say what other images and other seeds would give." in said


def test_what_several_seeds_of_a_configuration_say_is_not_said_of_single_ones(
    make_run: MakeRun, tmp_path: Path
) -> None:
    for name, hits in enumerate((40, 60, 50, 55)):
        typed = (f"model.blocks={max(name, 1)}", f"seed={name % 2}")
        make_run(str(name), *typed, answers="1" * hits + "0" * (80 - hits))
    found = ranked(tmp_path)
    assert sorted(len(one.runs) for one in found.board.ranked) == [1, 1, 2]
    of_rows = "other images (and, where a row has several seeds, other seeds)"
    said = found.sentences()
    assert f"The 95% intervals say what {of_rows} would give." in said
    compared = (
        "Compared by Student's t, which speaks of other images and other seeds, and those of a "
        "single seed by McNemar's exact test, which speaks of these networks, not of other "
        "seeds; 3 comparisons"
    )
    assert any(one.startswith(compared) for one in said)
    shutil.rmtree(tmp_path / "3")
    assert "McNemar" not in " ".join(ranked(tmp_path).sentences())


def test_a_command_that_was_typed_twice_has_measured_nothing_twice(
    make_run: MakeRun, tmp_path: Path
) -> None:
    for name in ("0", "1"):
        make_run(name, "model.blocks=2", answers="1110")
    make_run("2", "model.blocks=3", answers="1100")
    found = ranked(tmp_path)
    best = found.board.ranked[0]
    assert (len(best.runs), best.images, best.accuracy) == (2, 4, 0.75)
    assert best.interval == pytest.approx(wilson_interval(3, 4))
    assert found.pairs.pairs[0, 1].found.p_value == 1
    # Nor does it say how much a further seed would change.
    assert np.isnan(found.knobs.knobs[0].effect.half_widths).all()


def test_images_of_several_splits_are_counted_once(make_run: MakeRun, tmp_path: Path) -> None:
    for split, answers in enumerate(("1110", "1100")):
        make_run(str(split), f"data.split_seed={split}", answers=answers)
    (one,) = ranked(tmp_path).board.ranked
    assert one.accuracy == pytest.approx(5 / 8)
    assert one.images == 4
    assert one.interval == pytest.approx(seeds_interval([5 / 8], 4))


def test_unfinished_runs_are_listed_with_their_state_and_never_ranked(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("0", "model.blocks=2", answers="10")
    for name, state in (("1", "failed"), ("2", "interrupted"), ("3", "running"), ("4", "pruned")):
        run = make_run(name, f"model.blocks={int(name) + 2}", answers="11")
        run.state.write_text(json.dumps({"state": state, "reason": None}))
    make_run("5", "model.blocks=7")
    found = ranked(tmp_path)
    assert order(found) == ["blocks=2"]
    states = [one.unfinished[0].shown_state for one in found.board.waiting]
    # Nobody is writing to what says that it is running.
    assert states == ["failed", "interrupted", "interrupted", "pruned", "not finished"]
    assert to_json([found])["data"][0]["configurations"][1]["rank"] is None
    said = "5 of 6 runs without a result: 1 failed, 2 interrupted, 1 pruned, 1 not finished."
    assert said in found.sentences()
    table = runs_table([found]).splitlines()
    assert len(table) == 7
    assert ",failed,3," in table[2]


def test_no_run_is_called_the_best_of_a_configuration_without_a_result(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("good", "model.blocks=2", answers="11")
    make_run("poor", "model.blocks=2", "seed=1", answers="10")
    make_run("none", "model.blocks=3")
    best = [line.split(" | ")[1] for line in page([ranked(tmp_path)], [[]]).splitlines()[4:8]]
    assert best == ["best run", "---", "good", ""]
    shutil.rmtree(tmp_path / "poor")
    named = [line.split(" | ")[1] for line in page([ranked(tmp_path)], [[]]).splitlines()[4:8]]
    assert named == ["run", "---", "good", "none"]


def test_jobs_that_have_not_begun_are_listed_beside_the_others(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("0", "model.blocks=2", answers="10")
    manifest = Manifest(place="/fish")
    for number in range(3):
        typed = ("data=folder", "data.root=photos", f"model.blocks={2 + number}")
        settings = settings_in(OmegaConf.to_container(compose_config(*typed), resolve=False))
        state = RunState.FAILED if number == 2 else RunState.PENDING
        manifest.put(PlannedJob(str(number), typed, settings, state))
    manifest.write(tmp_path)
    (tmp_path / SWEEP_SETTINGS).touch()
    found = ranked(tmp_path)
    assert found.names == ["model.blocks"]
    assert order(found) == ["blocks=2"]
    waiting = [(found.label(c), c.unfinished[0].shown_state) for c in found.board.waiting]
    assert waiting == [("blocks=3", "pending"), ("blocks=4", "failed")]


def test_older_runs_have_an_interval_but_are_not_compared(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("0", "model.blocks=2", answers="1111")
    make_run("1", "model.blocks=3", answers="1100").validation.unlink()
    damaged = make_run("2", "model.blocks=4", answers="1000").validation
    damaged.write_text(damaged.read_text()[:-30])
    found = ranked(tmp_path)
    assert [found.verdict(place) for place in (1, 2)] == ["not compared"] * 2
    assert found.board.ranked[1].interval == pytest.approx(wilson_interval(2, 4))
    (why,) = [line for line in found.sentences() if "earlier version" in line]
    assert why.startswith("1, 2: of an earlier version or damaged")


@pytest.mark.parametrize("file", ["summary", "validation", "config", "metrics", "state", "typed"])
@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00", b"[1, 2]", b'{"val_acc": "x"}', b"a,b\n1,2\n"]
)
def test_a_damaged_file_of_one_run_does_not_hide_the_others(
    make_run: MakeRun, tmp_path: Path, file: str, content: bytes
) -> None:
    make_run("0", "model.blocks=2", answers="1110")
    getattr(make_run("1", "model.blocks=3", answers="1111"), file).write_bytes(content)
    found = ranked(tmp_path)
    assert sorted(run.name for run in found.board.runs) == ["0", "1"]
    text = page([found], [[]])
    assert "| 75.0% |" in text
    assert len(runs_table([found]).splitlines()) == 3


def test_runs_of_other_images_are_not_compared_with_each_other(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("0", answers="1111")
    make_run("1", "data.root=/other/fish", answers="1000")
    first, second = leaderboard(find_runs([str(tmp_path)]))
    assert (first.board.data, second.board.data) == ("photos", "fish")
    make_run("2", "data.root=/other/photos", answers="1000")
    titles = [one.board.data for one in leaderboard(find_runs([str(tmp_path)]))]
    assert titles == ["photos (root=/fish/photos)", "fish", "photos (root=/other/photos)"]
    assert first.pairs.pairs == second.pairs.pairs == {}
    text = page([first, second], [[], []])
    assert "Runs that were validated on different images are ranked apart." in text
    assert "## photos: 1 run, 4 validation images" in text


def test_images_that_have_moved_are_the_same_images(make_run: MakeRun, tmp_path: Path) -> None:
    for name, root in (("0", "/fish/photos"), ("1", "/moved/photos")):
        run = make_run(name, f"data.root={root}", f"model.blocks={2 + int(name)}", answers="1100")
        digests = np.arange(64, dtype=np.uint8).reshape(4, 16)
        SplitDigests(digests[:2], digests[2:], digests[:0], digests[:0]).save(run.digests)
    found = ranked(tmp_path)
    assert found.names == ["model.blocks"]
    assert found.pairs.pairs[0, 1].found.images == 4


def test_runs_without_an_image_in_common_are_not_compared(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("0", "model.blocks=2", "data.fold=0", "data.folds=2", answers={0: "1", 1: "1"})
    make_run("1", "model.blocks=3", "data.fold=1", "data.folds=2", answers={2: "1", 3: "0"})
    boards = leaderboard(find_runs([str(tmp_path)]))
    assert [len(one.board.ranked) for one in boards] == [1, 1]
    assert [one.board.data for one in boards] == ["photos (data.fold=0)", "photos (data.fold=1)"]


def test_runs_of_one_folder_are_ranked_apart_where_they_hold_out_other_images(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("0", "model.blocks=2", answers="1100")
    make_run("1", "model.blocks=3", answers="1110")
    make_run("2", "model.blocks=4").state.write_text('{"state": "failed", "reason": null}')
    folds = ("data.folds=2", "model.blocks=2")
    for fold in range(2):
        images = dict.fromkeys(range(6 * fold, 6 * fold + 6), "1")
        make_run(f"{3 + fold}", *folds, f"data.fold={fold}", answers=images)
    make_run("5", *folds, "data.fold=1", "model.blocks=3").validation.touch()
    single, folded = leaderboard(find_runs([str(tmp_path)]))
    assert order(single) == ["blocks=3", "blocks=2"]
    assert [single.label(one) for one in single.board.waiting] == ["blocks=4"]
    assert [one.label(["model.blocks"]) for one in folded.board.waiting] == ["blocks=3"]
    assert [one.accuracy for one in folded.board.ranked] == [1]
    titles = ("photos (images=4)", "photos (images=12)")
    assert (single.board.data, folded.board.data) == titles


def test_a_fold_that_failed_does_not_take_a_configuration_off_the_board(
    make_run: MakeRun, tmp_path: Path
) -> None:
    for blocks, folds in ((2, 3), (3, 2)):
        for fold in range(folds):
            images = dict.fromkeys(range(4 * fold, 4 * fold + 4), str(blocks - 2))
            typed = (f"model.blocks={blocks}", "data.folds=3", f"data.fold={fold}")
            make_run(f"{blocks}-{fold}", *typed, answers=images)
    found = ranked(tmp_path)
    assert order(found) == ["blocks=3", "blocks=2"]
    assert found.board.images == "8 to 12"
    assert found.pairs.pairs[0, 1].found.images == 8


def test_a_run_after_images_were_added_is_no_repetition_of_the_one_before(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("before", "seed=1", answers="1110")
    make_run("after", "seed=1", answers=dict.fromkeys(range(3, 13), "1"))
    boards = leaderboard(find_runs([str(tmp_path)]))
    assert {one.board.data: one.board.ranked[0].accuracy for one in boards} == {
        "photos (images=10)": 1,
        "photos (images=4)": 0.75,
    }


@pytest.mark.parametrize("order", [*permutations(("0 1 2 3 4", "0 1 2", "0 1"))])
def test_missing_folds_leave_a_configuration_beside_the_whole_one_in_any_order(
    make_run: MakeRun, tmp_path: Path, order: Sequence[str]
) -> None:
    for name, folds in enumerate((*order, "3")):
        for fold in map(int, folds.split()):
            images = dict.fromkeys(range(4 * fold, 4 * fold + 4), "1")
            typed = (f"model.blocks={len(folds)}", "data.folds=5", f"data.fold={fold}")
            make_run(f"{name}-{fold}", *typed, answers=images)
    found = ranked(tmp_path)
    assert sorted(one.images for one in found.board.ranked) == [4, 8, 12, 20]
    # Other images of the same folder, all of which are held out there as well.
    single = dict.fromkeys(range(2, 6), "1")
    make_run("single", "model.blocks=7", "data.split_seed=1", answers=single)
    boards = leaderboard(find_runs([str(tmp_path)]))
    assert [len(one.board.ranked) for one in boards] == [4, 1]


@pytest.mark.parametrize("order", [*permutations("abc")])
def test_growing_images_are_ranked_with_the_most_there_were_in_any_order(
    make_run: MakeRun, tmp_path: Path, order: Sequence[str]
) -> None:
    for name, one in zip(order, ((2, 20), (3, 12), (4, 7)), strict=True):
        blocks, images = one
        make_run(name, f"model.blocks={blocks}", answers="1" * images)
    make_run("failed", "model.blocks=5")
    boards = leaderboard(find_runs([str(tmp_path)]))
    assert [{c.images for c in one.board.ranked} for one in boards] == [{20, 12}, {7}]
    assert [len(one.board.waiting) for one in boards] == [1, 0]


@pytest.mark.parametrize("names", [("0", "1", "2"), ("0", "2", "1"), ("2", "1", "0")])
def test_a_fold_that_was_trained_after_images_were_added_is_not_pooled_with_those_before(
    make_run: MakeRun, tmp_path: Path, names: Sequence[str]
) -> None:
    for fold, (name, start) in enumerate(zip(names, (0, 4, 2), strict=True)):
        images = dict.fromkeys(range(start, start + 4), "1" if fold < 2 else "0")
        make_run(name, "data.folds=3", f"data.fold={fold}", answers=images)
    boards = leaderboard(find_runs([str(tmp_path)]))
    assert [one.board.ranked[0].accuracy for one in boards] == [1, 0]


@pytest.mark.parametrize("typed", ["data.group_duplicates=false", "data.inner_split=true"])
def test_folds_that_may_share_images_are_pooled(
    make_run: MakeRun, tmp_path: Path, typed: str
) -> None:
    for fold in range(2):
        images = dict.fromkeys(range(3 * fold, 3 * fold + 4), "1")
        make_run(f"{fold}", typed, "data.folds=2", f"data.fold={fold}", answers=images)
    (one,) = ranked(tmp_path).board.ranked
    assert len(one.runs) == 2


def test_the_share_of_the_commonest_class_is_said_and_who_is_not_above_it(
    make_run: MakeRun, tmp_path: Path
) -> None:
    truth = ["eel"] * 40 + ["carp"] * 20
    for blocks, hits in ((2, 45), (3, 50), (4, 55)):
        answers = "1" * hits + "0" * (60 - hits)
        make_run(str(blocks), f"model.blocks={blocks}", answers=answers, truth=truth)
    found = ranked(tmp_path)
    assert found.board.chance == pytest.approx(2 / 3)
    # Of 45 hits in 60 the interval is 62.8% to 84.2%.
    remarks = [found.remark(place) for place in range(3)]
    assert ["not above always naming the commonest class" in remark for remark in remarks] == [
        False,
        False,
        True,
    ]
    (said,) = [
        line for line in found.sentences() if line.startswith("Always naming the commonest class")
    ]
    assert said.endswith(
        "is right for 66.7% of the validation images; 1 of 3 intervals reaches down to that share."
    )
    (data,) = to_json([found])["data"]
    assert data["chance"] == pytest.approx(2 / 3)
    assert [one["above_chance"] for one in data["configurations"]] == [True, True, False]


def test_many_settings_are_cut_to_those_that_tell_rows_apart(
    make_run: MakeRun, tmp_path: Path
) -> None:
    for number in range(8):
        pair = number // 2
        typed = [
            f"model.blocks={2 + number % 2}",  # does nothing
            f"model.hidden={8 + (pair > 0)}",
            f"model.base_channels={8 + (pair > 1)}",
            f"model.dropout={0.5 * (pair > 2)}",
            f"optimizer.lr={1 + (pair in (1, 2))}",
        ]
        hits = (1, 5, 6, 9)[pair]
        make_run(str(number), *typed, answers="1" * hits + "0" * (9 - hits))
    found = ranked(tmp_path)
    assert [knob.setting for knob in found.knobs.knobs][-1] == "model.blocks"
    assert len(found.names) == 5
    assert len(found.shown) == 4
    assert "model.blocks" in found.shown
    assert len({*order(found)}) == 8
    assert "Rows are named by 4 of 5 settings that differ; leaderboard.csv has all." in (
        found.sentences()
    )
    assert set(to_json([found])["data"][0]["varied"]) == {*found.names}


def test_images_that_no_split_separates_are_one_witness(make_run: MakeRun, tmp_path: Path) -> None:
    films = [0] * 4 + [1] * 4
    make_run("0", "model.blocks=2", answers="1" * 8, groups=films)
    make_run("1", "model.blocks=3", answers="0" * 8, groups=films)
    assert ranked(tmp_path).pairs.pairs[0, 1].found.p_value == pytest.approx(0.5)


def test_what_was_varied_comes_from_the_settings_not_from_what_was_typed(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("0", answers="10")  # 4 blocks, without a word
    elsewhere = ("trainer.accelerator=cpu", "trainer.strategy=ddp", "trainer.deterministic=true")
    make_run("1", "model.blocks=3", "logger=none", *elsewhere, answers="11")
    make_run("2", "model.blocks=4", "data.workers=1", "seed=7", answers="10")
    found = ranked(tmp_path)
    assert found.names == ["model.blocks"]
    assert [len(one.runs) for one in found.board.ranked] == [1, 2]


def test_more_devices_are_another_training_as_batches_are_larger(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("0", answers="10")
    make_run("1", "trainer.devices=2", answers="11")
    assert ranked(tmp_path).names == ["trainer.devices"]


def test_a_group_that_is_exchanged_stands_for_its_settings(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("0", "optimizer=adam", answers="10")
    make_run("1", "optimizer=adamw", answers="11")
    assert ranked(tmp_path).names == ["optimizer.name"]
    assert order(ranked(tmp_path)) == ["optimizer=adamw", "optimizer=adam"]
    make_run("2", "optimizer=adamw", "optimizer.lr=0.5", answers="00")
    assert ranked(tmp_path).names == ["optimizer.name", "optimizer.lr"]


def test_what_was_typed_stands_for_itself(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("0", "optimizer=adam", "optimizer.lr=0.1", answers="10")
    make_run("1", "optimizer=adamw", "optimizer.lr=0.2", answers="11")
    assert order(ranked(tmp_path)) == ["optimizer=adamw lr=0.2", "optimizer=adam lr=0.1"]


def test_an_experiment_stands_for_what_it_chooses(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("0", "experiment=seed", answers="10")
    make_run("1", "experiment=best", answers="11")
    assert order(ranked(tmp_path)) == ["experiment=best", "experiment=seed"]
    make_run("2", "experiment=best", "optimizer.lr=0.5", answers="00")
    assert ranked(tmp_path).names == ["experiment", "optimizer.lr"]


def test_what_varied_together_is_one_knob(make_run: MakeRun, tmp_path: Path) -> None:
    for number, (blocks, rate) in enumerate(((2, 0.1), (3, 0.2), (2, 0.1), (3, 0.2))):
        typed = (f"model.blocks={blocks}", f"optimizer.lr={rate}", f"seed={number}")
        make_run(str(number), *typed, answers="1" * (number + 1) + "0" * (9 - number))
    (knob,) = ranked(tmp_path).knobs.knobs
    assert knob.name == "model.blocks, optimizer.lr"
    assert knob.levels == ["2, 0.1", "3, 0.2"]
    assert knob.effect.means == pytest.approx([0.2, 0.3])


def test_many_numbers_are_shown_as_ranges(make_run: MakeRun, tmp_path: Path) -> None:
    for number in range(12):
        make_run(
            str(number), f"optimizer.lr={1 + number}", answers="1" * number + "0" * (12 - number)
        )
    (knob,) = ranked(tmp_path).knobs.knobs
    assert knob.levels == ["1 to 3", "4 to 6", "7 to 9", "10 to 12"]
    assert knob.effect.means == pytest.approx([1 / 12, 4 / 12, 7 / 12, 10 / 12])


def test_runs_are_named_once_whatever_leads_to_them(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("sweep/2", "sweep/10", "day/one"):
        make_run(name, answers="10").checkpoints.mkdir()
    both = ["sweep", "sweep/10", "sweep/../sweep", "*/1?", "day/one/checkpoints", "day/one"]
    assert [run.name for run in find_runs(both)] == ["day/one", "sweep/2", "sweep/10"]
    assert [run.name for run in find_runs(["sweep"])] == ["2", "10"]
    assert [run.name for run in find_runs(["day/one"])] == ["one"]
    with pytest.raises(FishError, match=r"^nowhere: there is no such file or folder"):
        find_runs(["nowhere"])


def test_the_command_of_the_best_is_quoted_for_a_shell(make_run: MakeRun) -> None:
    (run,) = find_runs([str(make_run("1", "data.root=/fish/my photos", answers="1").path)])
    remember(["fishcnn", "compare", "1"], 2)
    command = 'fishcnn train "data.root=/fish/my photos"'
    assert command_of(run) == ("Train the best again", command)
    # By what was typed last, it would go on with whatever is the last run by then.
    (run,) = find_runs([str(make_run("2", "ckpt_path=last", "trainer.max_epochs=9").path)])
    what, command = command_of(run)
    assert what == "Train the best for longer"
    assert command.startswith(f"fishcnn train ckpt_path={run.run.path} trainer.max_")


def test_in_80_columns_the_name_of_each_run_can_be_read(
    make_run: MakeRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ["2026-11-21/10-15-05-123415"]
    names += [f"multirun/2026-11-26_10-00-00-000000/{job}" for job in (3, 10)]
    for blocks, (name, answers) in enumerate(zip(names, ("1100", "1110", "1000"), strict=True), 2):
        typed = (f"model.blocks={blocks}", f"optimizer.lr={blocks}e-4", "optimizer=sgd")
        make_run(name, *typed[: 3 if blocks == 2 else 2], answers=answers * 10)
    monkeypatch.setenv("COLUMNS", "80")
    compare(OmegaConf.create({"paths": [str(tmp_path)], "output": None, "rows": 30}))
    lines = capsys.readouterr().out.splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("rank"))
    table = [line for line in lines[first + 1 :] if line.startswith(" ")]
    start, end = lines[first].index("run"), lines[first].index("varied")
    shown = "".join(line[start:end].strip() for line in table)
    assert shown.startswith(names[1] + names[0] + names[2])
    assert all(len(line) <= 80 for line in lines[: first + len(table)])


def test_a_run_without_an_experiment_is_shown_without_the_word_null(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("0", "model.blocks=2", answers="1100")
    make_run("1", "model.blocks=2", "experiment=strong_augment", answers="1000")
    make_run("2", "model.blocks=3", "experiment=strong_augment", answers="0000")
    found = ranked(tmp_path)
    assert order(found) == [
        "blocks=2",
        "experiment=strong_augment blocks=2",
        "experiment=strong_augment blocks=3",
    ]
    text = page([found], [[]])
    assert "null" not in text
    assert "| 1 | 0 | none | 2 | 50.0% |" in text
    assert ",finished,null,2," in runs_table([found])
    content = to_json([found])["data"][0]
    assert content["configurations"][0]["settings"]["experiment"] == "null"
    assert content["pairs"][0]["first"] == "experiment=null blocks=2"
    values = {s["name"]: [v["value"] for v in s["values"]] for s in content["effects"]["settings"]}
    assert values["experiment"] == ["null", "strong_augment"]


def test_where_only_the_experiment_differs_a_run_without_one_has_words_for_it(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("0", answers="1100")
    make_run("1", "experiment=strong_augment", answers="1000")
    assert order(ranked(tmp_path)) == ["no experiment", "experiment=strong_augment"]
