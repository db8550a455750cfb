"""Jobs of a sweep in processes of their own, which a launcher of Hydra has started.

There a job knows only what is handed to it. Nothing heavy may be imported here, as the first
process has to answer signals before.
"""

import logging
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing import resource_tracker, util
from pathlib import Path

from omegaconf import OmegaConf

from fishcnn.commands import command_line
from fishcnn.commands.settings import CONF, choices
from fishcnn.utils import stopping
from fishcnn.utils.machine import CPUS, usable_cpus
from fishcnn.utils.streams import PrefixedLines, print_any_letter
from fishcnn.utils.text import counted

_THREADS = "OMP_NUM_THREADS"
_JOBLIB = "JoblibLauncher"
_CHOICES = "hydra/launcher"  # those of ours need the extra ``cluster``


def missing_package(launcher: str) -> str | None:
    """The package that a choice of ``hydra/launcher`` needs, if it is not installed."""
    if launcher not in choices(_CHOICES):
        return None
    target = OmegaConf.select(OmegaConf.load(CONF / _CHOICES / f"{launcher}.yaml"), "_target_")
    module = str(target).split(".")[:2]
    try:
        found = find_spec(".".join(module))
    except ModuleNotFoundError:  # there is no plugin at all
        found = None
    return None if found else module[1].replace("_", "-")


def name_fields() -> None:
    """Call what plugins say of their launchers ``NAME_fields``; ``NAME`` of ours begins with it.

    Of the same name, Hydra would check ours by them as well, but warn that it will not for long.
    Processes that launchers start take what is named here from this one.
    """
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    Plugins.instance()  # which finds them when it is first asked for
    stored = ConfigStore.instance().repo["hydra"]["launcher"]
    for name in choices(_CHOICES):
        if f"{name}.yaml" in stored:
            stored[f"{name}_fields.yaml"] = stored.pop(f"{name}.yaml")


def _here() -> tuple[str, int]:
    return platform.node(), os.getpid()


@dataclass(frozen=True)
class Start:
    """What the jobs of a start have to know in whatever process they run.

    Attributes:
        words: of the command line.
        program: how many of them are the program and its command.
        process: the machine and the number of the process that the command was typed for.
        cpus: how many processors it may use.
        threads: what the user has set for the threads of numerical libraries, if anything.
    """

    words: Sequence[str]
    program: int
    process: tuple[str, int] = field(default_factory=_here)
    cpus: int = field(default_factory=usable_cpus)
    threads: str | None = field(default_factory=lambda: os.environ.get(_THREADS))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Run a job here, the settings of which Hydra knows by now."""
        if _here() == self.process:
            yield
            return
        from hydra.core.hydra_config import HydraConfig

        command_line.remember(self.words, self.program)
        print_any_letter()
        logging.raiseExceptions = False  # as in the first process
        launcher = HydraConfig.get().launcher
        kind = launcher._target_.rpartition(".")[2]
        if kind in (_JOBLIB, "LocalLauncher"):  # else the machine is the job's alone
            self._divide(launcher.get("n_jobs"))
        with ExitStack() as stack:
            if kind == _JOBLIB:
                stack.enter_context(_ending_with(self.process[1]))
                stack.enter_context(_named_lines(f"{HydraConfig.get().job.num}| "))
            yield

    def _divide(self, n_jobs: int | None) -> None:
        """Leave its share of the processors to every job that runs at the same time.

        Before torch is imported, which asks for its threads once.
        """
        wanted = self.cpus if n_jobs is not None and n_jobs < 0 else n_jobs
        jobs = [count for count in (wanted, _jobs_of_the_sweep()) if count]
        share = max(1, self.cpus // min(jobs, default=1))
        os.environ[CPUS] = str(share)
        os.environ[_THREADS] = self.threads or str(share)


def _jobs_of_the_sweep() -> int:
    """How many there are; 0 where that is not known, as a sweeper chooses them."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    from fishcnn.commands.run_files import read_swept

    try:
        typed = read_swept(Path(HydraConfig.get().sweep.dir))
        swept = OverridesParser.create().parse_overrides(typed)
    except HydraException:
        return 0
    count = 1 if swept else 0
    for override in swept:
        if override.is_sweep_override():
            count *= sum(1 for _ in override.sweep_string_iterator())
    return count


def words_before(launcher: object, jobs: int) -> str | None:
    """What there is to say before joblib, if that is the launcher, is silent for some seconds."""
    if type(launcher).__name__ != _JOBLIB:
        return None
    at_once = getattr(launcher, "joblib", {}).get("n_jobs") or 1
    each = f"{at_once} at a time"
    if at_once < 0:  # all processors, or some fewer
        each = f"as many at a time as hydra.launcher.n_jobs={at_once} allows"
    return f"{counted(jobs, 'job')} to start, {each}, in processes that take a few seconds to start"


@contextmanager
def processes_of(launcher: object) -> Iterator[None]:
    """End the processes that joblib has started meanwhile, where that is the launcher.

    It keeps them for further jobs, and at its end Python would wait until each has torn torch down.
    """
    if type(launcher).__name__ != _JOBLIB:
        yield
        return
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.backend import resource_tracker as own_tracker

    if sys.platform != "win32":
        for tracker in (resource_tracker, own_tracker):
            tracker.ensure_running()  # later, it would let Ctrl-C through for what begins next
    try:
        with _interrupts_come_here_alone():
            yield
    finally:
        get_reusable_executor(reuse=True).shutdown(kill_workers=True)
        # As Python does at its end, which a program that is stopped does not reach: else joblib
        # warns of semaphores, as a job that nobody takes any more holds some of them.
        util._run_finalizers(0)  # type: ignore[attr-defined]


@contextmanager
def _interrupts_come_here_alone() -> Iterator[None]:
    """Keep Ctrl-C from processes that begin meanwhile, even before they can ignore it.

    They inherit of this thread that it is blocked; Python hears of it by another one.
    """
    if sys.platform == "win32":
        yield
        return
    over = threading.Event()
    threading.Thread(target=over.wait, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        over.set()


@contextmanager
def _named_lines(prefix: str) -> Iterator[None]:
    """Begin each line that is printed or logged meanwhile with the job that it belongs to."""
    out, err = PrefixedLines(sys.stdout, prefix), PrefixedLines(sys.stderr, prefix)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream in (
            sys.stdout,
            sys.stderr,
        ):
            handler.setStream(out if handler.stream is sys.stdout else err)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            yield
    finally:
        out.end()
        err.end()


class _Worker:
    """Of this process, which joblib gives one job after another."""

    watches = False
    works = False


@contextmanager
def _ending_with(first: int) -> Iterator[None]:
    """Leave Ctrl-C to the first process, which kills this one; end as well where that was killed.

    joblib's processes would finish their jobs and then wait for more, for minutes.

    Args:
        first: number of the process.
    """

    def watch() -> None:
        while os.getppid() == first:
            time.sleep(1)
        if not _Worker.works:
            os._exit(1)
        os.kill(os.getpid(), signal.SIGTERM)  # so that what is begun is put in order

    if not _Worker.watches:
        _Worker.watches = True
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stopping.watch()
        threading.Thread(target=watch, daemon=True).start()
    _Worker.works = True
    try:
        yield
    finally:
        _Worker.works = False
        if os.getppid() != first:
            os._exit(stopping.exit_status())
