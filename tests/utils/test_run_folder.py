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


def test_the_events_of_a_run_stay_where_its_first_start_has_put_them(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.events("blocks=3") == tmp_path / "blocks=3"
    (tmp_path / "blocks=3" / "train").mkdir(parents=True)
    (tmp_path / "blocks=3" / "events.out.tfevents.1.host.1.0").touch()
    (tmp_path / "blocks=3" / "train" / "events.out.tfevents.1.host.1.1").touch()
    assert run.events("another") == tmp_path / "blocks=3"
    # Of an earlier version.
    (tmp_path / "events.out.tfevents.1.host.1.0").touch()
    assert run.events("another") == tmp_path
