"""With what a run was made."""

import importlib.metadata
from collections.abc import Callable

import pytest

from fishcnn.utils.versions import versions


def test_a_source_tree_that_was_never_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Callable[[str], str] = importlib.metadata.version

    def version(package: str) -> str:
        if package == "fishcnn":
            raise importlib.metadata.PackageNotFoundError(package)
        return found(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert versions()["fishcnn"] == "not installed"
    assert versions()["torch"] == found("torch")
