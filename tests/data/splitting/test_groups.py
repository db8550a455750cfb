"""Which images belong together."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from fishcnn.data.splitting.groups import groups_by_name, merge_groups
from fishcnn.data.splitting.split import draw_split, leaked_by_random_split, stratified_split
from fishcnn.data.splitting.split_settings import SplitSettings
from fishcnn.utils.errors import FishError

FRAMES = "^(?P<group>[^_]+_[^_]+)"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (FRAMES, [0, 1, 0, 2, 3]),
        # Without a named group, all that is found.
        ("cam[0-9]", [0, 0, 0, 1, 2]),
        ("track(?P<group>[0-9])", [0, 1, 0, 0, 2]),
        # One part is in the name, the other is not: no group.
        ("(?P<group>cam2)|track", [0, 1, 2, 3, 4]),
        ("(?P<group>x*)cam1|(?:cam2)", None),
    ],
)
def test_frames_of_one_track_are_one_group(pattern: str, expected: list[int] | None) -> None:
    names = ["cam1_track7_01", "cam1_track8_01", "cam1_track7_02", "cam2_track7_01", "koi"]
    paths = [Path("train") / "Rui" / f"{name}.jpg" for name in names]
    if expected is None:
        with pytest.raises(FishError):
            groups_by_name(paths, pattern)
        return
    groups = groups_by_name(paths, pattern)
    assert groups.tolist() == expected
    assert groups.dtype == np.int64


def test_neither_folder_nor_suffix_is_part_of_the_name() -> None:
    paths = [Path("Koi_a/cam1_t1.jpg"), Path("Rui_b/cam1_t1.png"), Path("Rui_b/cam1_t2.png")]
    # One camera that has filmed two species is one group.
    assert groups_by_name(paths, FRAMES).tolist() == [0, 0, 1]


def test_a_pattern_that_finds_nothing_is_answered_with_a_file_name() -> None:
    paths = [Path("Koi/IMG-001.jpg"), Path("Koi/IMG-002.jpg")]
    with pytest.raises(FishError) as raised:
        groups_by_name(paths, FRAMES)
    message = str(raised.value)
    assert message.startswith(f"group_regex={FRAMES}: matches none of the 2 file")
    assert "such as IMG-001 (" in message


def test_a_pattern_that_is_not_a_regular_expression_is_named() -> None:
    with pytest.raises(FishError, match=r"^group_regex=\(cam: is not a regular expression \("):
        groups_by_name([Path("Koi/1.jpg")], "(cam")


def test_the_pattern_that_errors_advise_works_as_typed_in_a_shell() -> None:
    with pytest.raises(FishError) as raised:
        groups_by_name([], "(cam")
    found = re.search(r"for example, (\S+) groups by", str(raised.value))
    assert found
    (word,) = shlex.split(f"data.group_regex={found[1]}")
    pattern = OverridesParser.create().parse_override(word).value()
    assert pattern == found[1]
    names = ["cam1_track7_01", "cam1_track7_02", "cam1_track8_01", "koi"]
    groups = groups_by_name([Path(f"{name}.jpg") for name in names], pattern)
    assert groups.tolist() == [0, 0, 1, 2]


def test_what_belongs_together_by_way_of_others_is_one_group() -> None:
    first = np.array([5, 5, 6, 7, 8, 8])
    second = np.array([0, 1, 1, 2, 3, 4])
    merged = merge_groups(first, second)
    assert merged.tolist() == [0, 0, 0, 1, 2, 2]
    assert merged.dtype == np.int64
    assert merge_groups(np.empty(0, np.int64), np.empty(0, np.int64)).tolist() == []


def test_merged_groups_are_the_finest_that_hold_both() -> None:
    for seed in range(30):
        generator = np.random.default_rng(seed)
        first, second = generator.integers(0, 40, (2, 60))
        # Reachable in any number of steps, worked out with a matrix.
        joined = (first[:, None] == first) | (second[:, None] == second)
        for _ in range(6):
            joined = joined @ joined
        merged = merge_groups(first, second)
        np.testing.assert_array_equal(merged[:, None] == merged, joined)
        firsts = np.unique(merged, return_index=True)[1]
        assert (np.diff(firsts) > 0).all()
        assert firsts[0] == merged[0] == 0


def test_a_long_chain_is_one_group() -> None:
    chain = np.arange(50_000)
    assert merge_groups(chain // 2, (chain + 1) // 2).max() == 0


def test_the_images_that_a_split_without_groups_would_leak_are_counted() -> None:
    labels, groups = np.repeat([0, 1], 50), np.arange(100)
    settings = SplitSettings(val_fraction=0.2, split_seed=3)
    assert leaked_by_random_split(labels, groups, settings).tolist() == []
    split = stratified_split(labels, val_fraction=0.2, seed=3)
    # A copy of the first validation image trains; two copies that are both held out do no harm.
    groups[split.train[0]] = groups[split.val[0]]
    groups[split.val[2]] = groups[split.val[1]]
    leaked = leaked_by_random_split(labels, groups, settings)
    assert leaked.tolist() == [split.val[0]]
    grouped = draw_split(labels, groups, settings)
    assert not np.isin(groups[grouped.val], groups[grouped.train]).any()
