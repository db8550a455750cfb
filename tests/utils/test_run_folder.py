from pathlib import Path

from fishcnn.utils.run_folder import RunFolder


def test_every_file_of_a_run_is_where_its_run_folder_says(trained: RunFolder) -> None:
    expected = (
        trained.best_checkpoint,
        trained.last_checkpoint,
        trained.config,
        trained.overrides,
        trained.versions,
        trained.split,
        trained.data_report,
        trained.metrics,
        trained.diagnosis,
        trained.summary,
    )
    assert [path.name for path in expected if not path.is_file()] == []
    assert trained.figures.is_dir()


def test_a_checkpoint_outside_a_run_has_no_run_folder(trained: RunFolder, tmp_path: Path) -> None:
    assert RunFolder.of(trained.best_checkpoint) == trained
    moved = tmp_path / "elsewhere" / "model.ckpt"
    moved.parent.mkdir()
    trained.best_checkpoint.rename(moved)
    assert RunFolder.of(moved) is None
