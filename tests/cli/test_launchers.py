"""Jobs of a sweep beside each other, and on a cluster, each in a process of its own."""

import io
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher
from omegaconf import OmegaConf
from running import SCRIPTS, table

from fishcnn.commands.launched import Start, missing_package, name_fields, words_before
from fishcnn.commands.settings import CONF, choices
from fishcnn.utils.lock import user_of
from fishcnn.utils.machine import usable_cpus
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.streams import PrefixedLines

# Drawn for the first time by all jobs at once.
TINY = [
    *("data.species=3", "data.pictures_per_class=12", "data.image_size=16", "data.working_size=20"),
    *("data.batch_size=8", "model.hidden=8", "trainer.accelerator=cpu", "trainer.max_epochs=2"),
    *("logger=none", "callbacks.grad_cam.enabled=false", "hydra.sweep.dir=sweep"),
]
LONG = ["trainer.max_epochs=3000", "callbacks.early_stopping.enabled=false"]


OUT, ERR = (
    Path("out.txt"),
    Path("err.txt"),
)  # a pipe that nobody reads holds jobs up when it is full


@pytest.fixture
def start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a sweep as its own program, in an empty folder, where it prints to files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FISHCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(SCRIPTS.parent))  # for processes that others start

    with ExitStack() as begun:

        def run(*typed: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, str(SCRIPTS / "train.py"), "-m", *TINY, *typed]
            with OUT.open("wb") as out, ERR.open("wb") as err:
                sweep = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)
            begun.enter_context(sweep)
            begun.callback(sweep.kill)  # where the test has failed
            return sweep

        yield run


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, OUT.read_text()[-2000:] + ERR.read_text()
        time.sleep(0.05)


def processes() -> Iterator[tuple[Path, list[str], bytes]]:
    """All that there are, with their state, parent, group, session and so on, and their words."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            status = (process / "stat").read_text().rpartition(")")[2].split()
            yield process, status, (process / "cmdline").read_bytes()


def joblibs_processes(sweep: int) -> list[Path]:
    """Those that jobs are to run in, of the program with this number."""
    return [
        process
        for process, (_, parent, *_), words in processes()
        if int(parent) == sweep and b"--process-name" in words
    ]


def end_of(sweep: subprocess.Popen[bytes]) -> int:
    """The status of a sweep, when all that it has started has ended as well."""
    status = sweep.wait()
    wait_for(lambda: not alive_in_session(sweep.pid))
    return status


def alive_in_session(number: int) -> bool:
    return any(
        int(session) == number and state != "Z" for _, (state, _, _, session, *_), _ in processes()
    )


def rows(sweep: Path = Path("sweep")) -> dict[str, list[str]]:
    return {
        run.path.name: [row["epoch"] for row in table(run.metrics)]
        for run in RunFolder.below(sweep)
    }


@pytest.mark.slow
def test_jobs_beside_each_other_divide_the_processors_and_say_who_they_are(
    start: Callable[..., subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    typed = ["hydra/launcher=joblib", "model.blocks=1,2", "optimizer.lr=1e-3,-1"]
    # As a terminal asks, and as batch systems do, while joblib's processes begin.
    for ask, number, words in (
        (os.killpg, signal.SIGINT, "Ctrl-C"),
        (os.kill, signal.SIGTERM, "SIGTERM (kill)"),
    ):
        sweep = start(*typed)
        wait_for(lambda sweep=sweep: joblibs_processes(sweep.pid))
        begun = joblibs_processes(sweep.pid)
        ask(sweep.pid, number)
        assert end_of(sweep) == 128 + number
        again = shlex.join([sys.executable, str(SCRIPTS / "train.py"), "-m", *TINY, *typed])
        when = "before the end of the first epoch"
        assert ERR.read_text() == f"stopped by {words} {when}; to begin again: {again}\n"
        assert not Path("sweep").exists()
        assert not any((process / "exe").exists() for process in begun)
    assert end_of(start(*typed)) == 1
    out, err = OUT.read_text(), ERR.read_text()
    assert "Traceback" not in out + err
    assert "Warning" not in out + err
    done = {"0": ["1", "2"], "2": ["1", "2"]}
    assert {job: epochs for job, epochs in rows().items() if epochs} == done
    share = max(1, usable_cpus() // 2)
    for job in done:
        lines = [line[3:] for line in out.splitlines() if line.startswith(f"{job}| ")]
        (device,) = (line for line in lines if line.startswith("device "))
        assert device.startswith(f"device   CPU, {share} thread")
        assert sum(line.startswith("epoch ") for line in lines) == 2
    assert sorted(re.findall(r"^\d\| error: .*", err, re.MULTILINE)) == [
        f"{job}| error: optimizer.lr=-1: must be a number from 0 to 1000" for job in (1, 3)
    ]
    assert all((RunFolder(Path("sweep") / job)).summary.is_file() for job in done)


@pytest.mark.slow
def test_jobs_end_in_order_when_the_process_that_has_sent_them_out_is_killed(
    start: Callable[..., subprocess.Popen[bytes]],
) -> None:
    sweep = start("hydra/launcher=joblib", "model.blocks=1,2", *LONG)
    jobs = [RunFolder(Path("sweep") / job) for job in "01"]
    wait_for(lambda: all(run.last_checkpoint.is_file() for run in jobs))
    sweep.kill()
    end_of(sweep)
    assert [user_of(run.path) for run in jobs] == [None, None]
    err = ERR.read_text()
    for job in "01":
        (kept,) = re.findall(rf"\(kill\); kept: epoch (\d+) of 3000 in \S+/sweep/{job}/", err)
        assert len(rows()[job]) - int(kept) in (0, 1)
    assert (
        "to go on: "
        + shlex.join(
            [sys.executable, str(SCRIPTS / "train.py"), f"sweep.resume={Path.cwd() / 'sweep'}"]
        )
        in err
    )


@pytest.mark.slow
def test_a_job_that_its_cluster_displaces_comes_back_and_goes_on(
    start: Callable[..., subprocess.Popen[bytes]],
) -> None:
    sweep = start("hydra/launcher=submitit_local", "model.blocks=2", *LONG, "trainer.max_epochs=40")
    run = RunFolder(Path("sweep/0"))
    wait_for(lambda: run.last_checkpoint.is_file() and user_of(run.path))
    process = int(re.findall(r"process (\d+)", str(user_of(run.path)))[0])
    for number in (signal.SIGTERM, signal.SIGUSR2):  # as SLURM sends them
        os.kill(process, number)
    assert sweep.wait() == 0, ERR.read_text()
    (log,) = Path("sweep/.submitit").glob("*/*_log.out")
    assert re.findall(r"Going on after epoch (\d+) of", log.read_text())[0] != "0"
    assert "Exiting after successful completion" in log.read_text()
    assert rows()["0"] == [str(epoch) for epoch in range(1, 41)]


SBATCH = """#!/bin/sh
cp "$1" {place}/submitted.sh
echo Submitted batch job 17
export SLURM_JOB_ID=17 SLURM_NTASKS=1 SLURM_JOB_NAME=fishcnn SLURM_PROCID=0 SLURM_LOCALID=0
export SLURM_NODEID=0 SLURM_JOB_NUM_NODES=1 SLURM_JOB_NODELIST=here SLURM_ARRAY_JOB_ID=17
(for SLURM_ARRAY_TASK_ID in 0 1; do
    export SLURM_ARRAY_TASK_ID
    sh "$1"
done) > {place}/log 2>&1 < /dev/null &
"""
# Drops its own options.
SRUN = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do
    case $1 in --output|--error) shift;; esac
    shift
done
exec "$@"
"""


@pytest.mark.slow
def test_jobs_are_handed_to_slurm_with_what_they_need(
    start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    for name, text in (("sbatch", SBATCH.replace("{place}", str(cluster))), ("srun", SRUN)):
        (cluster / name).write_text(text)
        (cluster / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(cluster), prepend=os.pathsep)
    typed = ["hydra.launcher.partition=gpu", "hydra.launcher.gpus_per_node=1"]
    sweep = start("hydra/launcher=submitit_slurm", "model.blocks=1,2", *typed)
    assert sweep.wait() == 0, ERR.read_text() + (cluster / "log").read_text()
    assert rows() == {"0": ["1", "2"], "1": ["1", "2"]}
    wanted = {
        *("array=0-1%2", "cpus-per-task=4", "gpus-per-node=1", "mem=16GB", "nodes=1", "time=240"),
        *("job-name=fishcnn", "ntasks-per-node=1", "partition=gpu", "requeue", "open-mode=append"),
        # Not SIGUSR1, by which Lightning would hand the job in a second time.
        "signal=USR2@120",
    }
    script = (cluster / "submitted.sh").read_text()
    assert wanted <= set(re.findall(r"^#SBATCH --(.*)$", script, re.MULTILINE))
    assert f"{shlex.quote(sys.executable)} -u -m submitit.core._submit" in script


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "submitit_slurm"])
def test_without_its_package_a_launcher_is_refused(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, launcher: str
) -> None:
    package = f"hydra-{launcher.partition('_')[0]}-launcher"
    assert missing_package(launcher) is None
    monkeypatch.setitem(sys.modules, f"hydra_plugins.{package.replace('-', '_')}", None)
    finished = train("-m", f"hydra/launcher={launcher}", "model.blocks=1,2")
    assert finished.status == 1
    assert finished.err == (
        f"error: hydra/launcher={launcher} needs {package}, which is not installed: "
        'pip install -e ".[cluster]"\n'
    )


def test_a_single_run_is_not_sent_elsewhere(train: Callable[..., Any]) -> None:
    finished = train("hydra/launcher=submitit_slurm", "seed=1")
    assert finished.status == 1
    assert "hydra/launcher=submitit_slurm: add -m, " in finished.err
    assert finished.err.endswith("train.py -m hydra/launcher=submitit_slurm seed=1\n")


@pytest.mark.parametrize("launcher", choices("hydra/launcher"))
def test_each_choice_has_the_fields_of_its_plugin(launcher: str) -> None:
    name_fields()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", [f"hydra/launcher={launcher}"], return_hydra_config=True)
    own = OmegaConf.load(CONF / "hydra" / "launcher" / f"{launcher}.yaml")
    del own["defaults"]
    # Types are those of the plugin: what it does not know, or of another type, is refused.
    assert set(own) < set(config.hydra.launcher)
    assert config.hydra.launcher._metadata.object_type is not dict


@pytest.mark.parametrize(
    ("n_jobs", "said"),
    [
        (2, "2 at a time"),
        (None, "1 at a time"),
        (-1, "as many at a time as hydra.launcher.n_jobs=-1 allows"),
        (-2, "as many at a time as hydra.launcher.n_jobs=-2 allows"),
    ],
)
def test_how_many_jobs_joblib_starts_is_said_in_words_that_are_true(
    n_jobs: int | None, said: str
) -> None:
    words = words_before(JoblibLauncher(n_jobs=n_jobs), 4)
    assert words == f"4 jobs to start, {said}, in processes that take a few seconds to start"


@pytest.mark.parametrize(
    ("launcher", "swept", "share"),
    [
        ("joblib", ["model.blocks=1,2", "seed=1,2,3"], 4),
        ("joblib", ["model.blocks=1"], 8),  # as nobody else is there
        ("joblib", ["seed=range(6)", "hydra.launcher.n_jobs=-1"], 1),
        ("submitit_local", ["seed=1,2"], 4),
        ("submitit_local", [f"seed={','.join(map(str, range(30)))}"], 1),
    ],
)
def test_jobs_on_one_machine_get_equal_shares(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    launcher: str,
    swept: list[str],
    share: int,
) -> None:
    name_fields()
    ours = [one for one in swept if one.startswith("hydra.")]
    typed = [f"hydra/launcher={launcher}", f"hydra.sweep.dir={tmp_path}", "hydra.job.num=0", *ours]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", typed, return_hydra_config=True)
    task = [one for one in swept if one not in ours]
    OmegaConf.save({"hydra": {"overrides": {"task": task}}}, tmp_path / "multirun.yaml")
    monkeypatch.setattr(HydraConfig.instance(), "cfg", config)
    for name in ("FISHCNN_CPUS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "5")
        monkeypatch.delenv(name)
    Start(["train"], 1, cpus=8)._divide(config.hydra.launcher.get("n_jobs"))
    assert [os.environ[name] for name in ("FISHCNN_CPUS", "OMP_NUM_THREADS")] == [str(share)] * 2
    Start(["train"], 1, cpus=8, threads="7")._divide(config.hydra.launcher.get("n_jobs"))
    assert os.environ["OMP_NUM_THREADS"] == "7"  # as the user has said


def test_what_others_leave_is_no_more_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FISHCNN_CPUS", raising=False)
    there = usable_cpus()
    for left, usable in (("1", 1), (str(there + 5), there), ("", there), ("many", there)):
        monkeypatch.setenv("FISHCNN_CPUS", left)
        assert usable_cpus() == usable, left


def test_lines_of_a_job_are_whole_and_begin_with_its_number() -> None:
    whole = io.StringIO()
    one, two = PrefixedLines(whole, "1| "), PrefixedLines(whole, "2| ")
    print("a", "b", file=one, end="")
    print("c\nd", file=two)
    print(file=one)
    print("e", file=one, end="")
    one.end()
    assert whole.getvalue() == "2| c\n2| d\n1| a b\n1| e\n"
    assert not one.isatty()
