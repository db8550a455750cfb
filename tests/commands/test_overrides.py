"""Any path reaches the script as it was typed."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from fishcnn.commands.overrides import quote_values


@pytest.mark.parametrize(
    "path",
    [
        "photos/**/[ab]?.jpg",
        "a b.jpg",
        "a,b.jpg",
        "epoch=3.ckpt",
        "it's.jpg",
        'a "big" one.jpg',
        "a(1).jpg",
        "grüße.jpg",
        "~/x",
        "C:\\fish\\",
        "{a: b}",
        "5",
        "-",
        "b\udcffd.jpg",
    ],
)
def test_hydra_takes_every_path_as_it_was_typed(path: str) -> None:
    (argument,) = quote_values([f"input={path}"])
    assert OverridesParser.create().parse_override(argument).value() == path


@pytest.mark.parametrize("pattern", ["^(?P<group>[^_]+_[^_]+)", r"^(?P<group>\w+)_\d{4}\.jpg$"])
def test_a_regular_expression_needs_no_more_than_the_quotes_of_the_shell(pattern: str) -> None:
    (argument,) = quote_values([f"data.group_regex={pattern}"])
    assert OverridesParser.create().parse_override(argument).value() == pattern


def test_everything_else_is_left_alone() -> None:
    arguments = ["--help", "a,b", "input=null", "output=", "ckpt='a b'", 'runs="x,y"', "top_k=3"]
    assert quote_values(arguments) == arguments
    sweep = ["-m", "model.blocks=2,3", "input=glob(*)", "ckpt='a b','c'", "data.root=choice(a,b)"]
    assert quote_values(sweep) == sweep
    hydras = "hydra.run.dir=${runs}/${now:%Y}/${oc.env:HOME}/${hydra.job.num}"
    assert quote_values([hydras]) == [hydras.replace("=", "='") + "'"]


def test_options_come_before_the_settings() -> None:
    typed = [
        "model.blocks=2,3",
        "-m",
        "data.root=a b",
        "~model.head",
        "--config-dir",
        "x=y",
        "+a=1",
    ]
    options, settings = ["-m", "--config-dir", "x=y"], ["model.blocks=2,3", "data.root='a b'"]
    assert quote_values(typed) == [*options, *settings, "~model.head", "+a=1"]
