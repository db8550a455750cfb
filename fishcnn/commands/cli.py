"""The commands by name, and what they share: errors for people instead of tracebacks.

Imported before Hydra answers ``--help``, so nothing heavy may be imported here; and before signals
are answered, so not even Hydra.
"""

import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from fishcnn.commands import command_line
from fishcnn.commands.train import further_process, processes
from fishcnn.utils import stopping
from fishcnn.utils.errors import FishError, causes
from fishcnn.utils.files import OF_DISK, unwritable
from fishcnn.utils.machine import given_cpus, usable_cpus
from fishcnn.utils.memory import free_memory
from fishcnn.utils.streams import print_any_letter

if TYPE_CHECKING:
    from omegaconf import DictConfig

# Each has a configuration of its name in conf/, and is a function of its name in this module.
COMMANDS = {
    "train": ("fishcnn.commands.train.train", "train a network on a folder of images"),
    "compare": ("fishcnn.commands.compare.compare", "rank runs and sweeps, see what mattered"),
    "evaluate": ("fishcnn.commands.evaluate.evaluate", "judge a trained network, write a report"),
    "explain": ("fishcnn.commands.explain.explain", "show where a trained network looks"),
    "predict": ("fishcnn.commands.predict.predict", "classify images with a trained network"),
    "export": ("fishcnn.commands.export.export", "write a trained network for other programs"),
    "demo": ("fishcnn.commands.demo", "classify photos on a local web page"),
    "tune": ("fishcnn.commands.tune.tune", "search for the settings that train best"),
    "inspect_data": ("fishcnn.commands.inspect_data", "report on a folder of images"),
    "pack_data": ("fishcnn.commands.pack_data", "pack a folder of images into shards"),
    "benchmark": ("fishcnn.benchmark.benchmark", "measure the speed of this project"),
}

_BROKEN_PIPE = 141  # what a shell reports of a program whose reader has gone


def main() -> None:
    """Run ``fishcnn COMMAND SETTINGS``: what the scripts do, under one name."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in COMMANDS:
        start(name, sys.argv[2:])
        return
    wanted = name in ("-h", "--help")
    stream = sys.stdout if wanted else sys.stderr
    if not wanted:
        meant = get_close_matches(name, COMMANDS, 1)
        hint = f"; did you mean {meant[0]}?" if meant else ""
        print(f"error: {name} is not a command of fishcnn{hint}\n", file=stream)
    lines = [f"  {command:13} {purpose}" for command, (_, purpose) in COMMANDS.items()]
    print("usage: fishcnn COMMAND [--help] [SETTING=VALUE ...]\n", *lines, sep="\n", file=stream)
    sys.exit(0 if wanted else 2)


def start(name: str, typed: Sequence[str] | None = None) -> None:
    """Run a command, and exit with status 1 if any of its jobs has failed.

    A :class:`FishError` is printed in one piece. Within a sweep, whatever else goes wrong with a
    job is printed as well and does not take the other jobs along. SIGINT, SIGTERM and SIGHUP end
    everything, with one line and the status 130, 143 or 129.

    Args:
        name: of the command.
        typed: what stands after it on the command line; None is all of it.
    """
    typed = sys.argv[1:] if typed is None else typed
    program = command_line.as_typed(sys.argv[: len(sys.argv) - len(typed)])
    command_line.remember([*program, *typed], len(program))
    stopping.watch(lambda: f" before it began; to begin again: {command_line.retyped({})}")
    print_any_letter()
    if name == "train" and processes.is_further_process():
        stopping.done()  # the first process of a fit speaks for all
        run: Callable[[], None] = further_process.follow
        alone: AbstractContextManager[None] = nullcontext()
    else:
        run = partial(_run, name, program, typed)
        alone = processes.outside_processes() if name == "train" else nullcontext()
    logging.raiseExceptions = False  # of a log file on a full disk; the run will meet it as well
    try:
        try:
            with alone:
                run()
        finally:
            sys.stdout.flush()  # where that fails, it fails now
    except BaseException as error:
        if stopping.stopped_by() or isinstance(error, KeyboardInterrupt):
            if not isinstance(error, SystemExit):  # by which a command says that it has spoken
                stopping.say()
            stopping.leave()
        _throw_away_what_cannot_be_printed()
        if isinstance(error, BrokenPipeError):
            sys.exit(_BROKEN_PIPE)
        if not isinstance(error, Exception):
            raise
        _report(error)
        sys.exit(1)
    finally:
        stopping.done()


def _run(name: str, program: Sequence[str], typed: Sequence[str]) -> None:
    """Let Hydra compose the configuration and run the command with it, once or as a sweep."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    from fishcnn.commands.arguments import read_arguments
    from fishcnn.commands.launched import Start, name_fields
    from fishcnn.commands.overrides import check_places
    from fishcnn.commands.settings import CONF
    from fishcnn.commands.train import grid, new_folders, own_settings
    from fishcnn.commands.train.resumed_sweep import as_sweep, with_resumed_sweep
    from fishcnn.commands.tune.resumed_study import typed_for_study

    started = Start([*program, *typed], len(program))
    if name == "train":
        typed = as_sweep(typed)
    check_places(typed, writes_runs=name == "train")
    arguments = read_arguments(name, typed, typed_for_study(typed) if name == "tune" else ())
    here = Path.cwd()
    if name == "train":
        arguments = own_settings.with_own_settings(with_resumed_sweep(arguments))
        grid.install()
    begun, failed, stands = False, False, Path.cwd()
    crashes: list[Exception] = []
    known = own_settings.known()

    def job(config: "DictConfig") -> float | None:
        # Perhaps in another process, to which a launcher has sent what this function refers to.
        with started.at_work():
            own_settings.know(known)
            try:
                return run_here(config)
            finally:
                if HydraConfig.get().mode == RunMode.MULTIRUN:
                    free_memory()

    def run_here(config: "DictConfig") -> float | None:
        nonlocal begun, failed
        begun = True
        if usable_cpus() < given_cpus():
            # Read when torch is imported, which looks at no share of a container. Not earlier, as a
            # launcher hands the environment on to other machines.
            os.environ.setdefault("OMP_NUM_THREADS", str(usable_cpus()))
        command = getattr(import_module(COMMANDS[name][0]), name)
        os.chdir(stands)  # also with hydra.job.chdir=true: paths are meant from where the user is
        try:
            with stopping.raising():
                result: float | None = command(config)
            return result
        except (FishError, OmegaConfBaseException) as error:
            failed = True
            stopping.check_stopped()  # of which the error may be a consequence
            _report(error)
        except Exception as error:
            stopping.check_stopped()
            if HydraConfig.get().mode != RunMode.MULTIRUN:
                crashes.append(error)  # Hydra would add a line of its own
            elif isinstance(error, BrokenPipeError):
                raise
            else:
                failed = True
                _report(error)
        return float("nan")

    # Hydra names the log file of a job after the module of its function.
    job.__module__ = name
    sys.argv = [sys.argv[0], *arguments]  # Hydra does not know the word after the program
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra's own report would be a traceback
    name_fields()
    run = hydra.main(config_path=str(CONF), config_name=name, version_base="1.3")(job)
    new_folders.forget()
    stopping.tidying(new_folders.remove_if_nothing_came)
    try:
        if {"--help", "-h"}.isdisjoint(arguments):
            run()
        else:
            _print_help(name, run)
    except OSError as error:
        place = error.filename or new_folders.noted()  # Hydra makes that and writes into it
        if begun or not place or isinstance(error, HydraException):
            raise
        raise unwritable(Path(place), error) from error
    finally:
        new_folders.remove_if_nothing_came()
        os.chdir(here)
    if crashes:
        raise crashes[0]
    if failed:
        sys.exit(1)


def _print_help(name: str, run: Callable[[], None]) -> None:
    """Print Hydra's help with the comments of ``conf/``; its examples as they are typed here."""
    from fishcnn.commands.help_text import with_comments

    printed = StringIO()
    try:
        with redirect_stdout(printed):
            run()
    finally:
        text = with_comments(printed.getvalue(), name)
        form = r"python scripts/(\w+)\.py"
        print(re.sub(form, lambda one: command_line.another(one[1]), text), end="")


def _report(error: Exception) -> None:
    """Print what went wrong: one message where a person can put it right, else the traceback."""
    from hydra.errors import CompactHydraException
    from omegaconf.errors import OmegaConfBaseException

    from fishcnn.commands.train.own_settings import not_there

    disk = next((c for c in causes(error) if isinstance(c, OSError) and c.errno in OF_DISK), None)
    if isinstance(error, FishError):
        print(f"error: {error}", file=sys.stderr)
    elif isinstance(error, OmegaConfBaseException | CompactHydraException):
        # The cause says what is wrong, the first line of it in words.
        said = str(error.__cause__ or error).strip().splitlines()[0]
        if name := re.match(r"Could not (?:override|append|delete).*?'(.+?)'", str(error)):
            said = not_there(name[1])
        print(f"error: {said}", file=sys.stderr)
    elif isinstance(disk, PermissionError) and disk.filename:  # to read or to write
        print(f"error: {disk.filename}: permission denied", file=sys.stderr)
    elif isinstance(disk, OSError):
        words = f"{(disk.strerror or str(disk)).lower()}; free some space or write elsewhere"
        told = unwritable(Path(disk.filename), disk) if disk.filename else words
        print(f"error: {told}", file=sys.stderr)
    else:
        traceback.print_exception(error)


def _throw_away_what_cannot_be_printed() -> None:
    """Keep Python from failing once more at its end where standard output takes nothing."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
