"""The defaults of the library are those of the command line, value by value."""

from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from fishcnn.models.classifier import FishClassifier
from fishcnn.models.optimization import OPTIMIZERS, SCHEDULERS
from fishcnn.models.registry import NETWORKS, Registry

CONF = Path(__file__).parents[2] / "conf"


def read(file: str) -> dict[str, Any]:
    container = OmegaConf.to_container(OmegaConf.load(CONF / file), resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


@pytest.mark.parametrize("registry", [NETWORKS, OPTIMIZERS, SCHEDULERS], ids=lambda r: r.argument)
def test_every_choice_has_a_file_of_its_settings_in_conf(registry: Registry[Any]) -> None:
    files = sorted((CONF / registry.argument).glob("*.yaml"))
    assert [file.stem for file in files] == sorted(registry)
    for file in files:
        assert read(f"{registry.argument}/{file.name}") == registry.complete(file.stem)


@pytest.mark.parametrize("build", [FishClassifier, FishClassifier.for_data])
def test_the_classifier_is_that_of_the_train_command(build: Any) -> None:
    train = read("train.yaml")
    defaults = {p.name: p.default for p in signature(build).parameters.values()}
    choices = {group: choice for entry in train["defaults"][1:] for group, choice in entry.items()}
    for registry in (NETWORKS, OPTIMIZERS, SCHEDULERS):
        assert defaults[registry.argument] == choices[registry.argument]
    for name, value in train["loss"].items():
        assert defaults[name] == value
