from fishcnn.commands.explain.explanation_rows import Row, cells, columns

READ = Row(
    path="a/\udcff.jpg",
    true="rui",
    top=(("rui", 0.7), ("catla", 0.2), ("koi", 0.1)),
    target="rui",
    against="koi",
    energy=(0.25, None),
    png="00001-1.png",
)
BROKEN = Row("a/2.jpg", "rui", error="truncated")


def test_every_cell_has_a_column_for_any_number_of_layers_and_classes() -> None:
    layers = ["b.0", "b.1"]
    row = cells(READ, layers)
    assert set(columns(layers, 20)) - row.keys() == {"energy_on_fish_b.1", "error"}
    assert row.keys() <= set(columns(layers, 20))
    assert row["path"] == r"a/\udcff.jpg"
    assert row["predicted"] == row["top1_class"] == "rui"
    assert row["probability"] == row["top1_probability"] == "0.700000"
    assert (row["top3_class"], row["top3_probability"]) == ("koi", "0.100000")
    assert (row["target"], row["against"], row["png"]) == ("rui", "koi", "00001-1.png")
    assert row["energy_on_fish_b.0"] == "0.250000"
    assert "energy_on_fish" in columns(["b"], 2)
    assert "top3_class" not in columns(["b"], 2)


def test_an_unreadable_image_has_its_reason_and_what_is_known_of_it() -> None:
    assert cells(BROKEN, ["b"]) == {"path": "a/2.jpg", "true": "rui", "error": "truncated"}


def test_names_are_short_and_printable_for_people() -> None:
    assert READ.name == r"a/\udcff.jpg"
    assert Row("/in/koi/1.jpg", None).name == "koi/1.jpg"
    assert Row("/in/koi/1.jpg", "rui").name == "koi/1.jpg"


def test_a_name_has_the_folder_of_the_class_however_deep_the_image_lies() -> None:
    assert Row("/koi/train/koi/2023/camera/1.jpg", "koi").name == "koi/2023/camera/1.jpg"
    assert Row("/in/koi", "koi").name == "in/koi"  # a file without a suffix


def test_a_row_is_wrong_only_where_the_true_class_is_known() -> None:
    assert not READ.wrong
    assert not BROKEN.wrong
    assert Row("a", "koi", READ.top, "rui").wrong
    assert not Row("a", None, READ.top, "rui").wrong
