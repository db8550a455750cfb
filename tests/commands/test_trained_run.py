import shutil
from pathlib import Path

import pytest
from conftest import Command
from running import images_of

from fishcnn.utils.lock import locked
from fishcnn.utils.run_folder import RunFolder


@pytest.mark.parametrize("name", ["predict", "evaluate", "explain", "export"])
def test_a_run_that_is_not_finished_says_so(
    script: Command, trained: RunFolder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(trained.path.parents[1])
    trained.summary.unlink()
    some = f"input={images_of(trained)}"
    settings = {"predict": [some], "evaluate": [], "explain": [some, "trust=false", "pictures=1"]}
    finished = script(name, *settings.get(name, [some, "formats=torch"]), "ckpt=last")
    assert finished.status == 0, finished.err
    told = f"{trained.path} is not finished: this is its checkpoint after epoch 4 of 4, where it"
    assert finished.out.count(told) == 1


def test_a_run_that_is_being_trained_says_so_and_not_among_the_rows(
    script: Command, trained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained.path.parents[1])
    shutil.copytree(images_of(trained), "some")
    with locked(trained.path):
        finished = script("predict", "input=some", "output=-")
    assert finished.status == 0, finished.err
    assert "is still being trained, by process " in finished.err
    assert "after epoch 4 of 4." in finished.err
    assert finished.out.startswith("path,")
    assert finished.out.count("\n") == 1 + sum(1 for _ in Path("some").rglob("*.jpg"))
