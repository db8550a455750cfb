from fishcnn.commands.explain.explanation_rows import Row, cells, columns

READ = Row(
    path="a/1.jpg",
    true="rui",
    top=(("rui", 0.7), ("catla", 0.2), ("koi", 0.1)),
    target="rui",
    against="koi",
    energy=(0.25, None),
    png="00001-1.png",
    error=None,
)
BROKEN = Row("a/2.jpg", None, (), None, None, (), None, "truncated")


def test_every_column_has_a_cell_for_any_number_of_layers_and_classes() -> None:
    row = dict(zip(columns(["b.0", "b.1"], 20), cells(READ, 2, 20), strict=True))
    assert row["path"] == "a/1.jpg"
    assert row["predicted"] == row["top1_class"] == "rui"
    assert row["probability"] == row["top1_probability"] == "0.700000"
    assert (row["top3_class"], row["top3_probability"]) == ("koi", "0.100000")
    assert (row["target"], row["against"], row["png"]) == ("rui", "koi", "00001-1.png")
    assert (row["energy_on_fish_b.0"], row["energy_on_fish_b.1"]) == ("0.250000", "")
    assert row["error"] == ""
    for classes in (2, 3, 20):
        assert len(columns(["b"], classes)) == len(cells(BROKEN, 1, classes))
    assert "energy_on_fish" in columns(["b"], 2)
    assert "top3_class" not in columns(["b"], 2)


def test_an_unreadable_picture_has_its_reason_in_the_last_column() -> None:
    row = dict(zip(columns(["b"], 2), cells(BROKEN, 1, 2), strict=True))
    assert (row["path"], row["predicted"], row["error"]) == ("a/2.jpg", "", "truncated")


def test_a_row_is_wrong_only_where_the_true_class_is_known() -> None:
    assert not READ.wrong
    assert not BROKEN.wrong
    assert Row("a", "koi", READ.top, "rui", None, (), None, None).wrong
    assert not Row("a", None, READ.top, "rui", None, (), None, None).wrong
