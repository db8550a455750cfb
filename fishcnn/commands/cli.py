"""The commands by name, and what they share: errors for people instead of tracebacks.

Imported before Hydra answers ``--help``, so nothing heavy may be imported here.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fishcnn.commands.overrides import check_places, quote_values
from fishcnn.commands.settings import CONF
from fishcnn.utils.errors import FishError
from fishcnn.utils.machine import given_cpus, usable_cpus

# Each has a configuration of its name in conf/, and is a function of its name in this module.
COMMANDS = {
    "train": ("fishcnn.commands.train.train", "train a network on a folder of images"),
    "evaluate": ("fishcnn.commands.evaluate.evaluate", "judge a trained network, write a report"),
    "explain": ("fishcnn.commands.explain.explain", "show where a trained network looks"),
    "predict": ("fishcnn.commands.predict.predict", "classify images with a trained network"),
    "export": ("fishcnn.commands.export.export", "write a trained network for other programs"),
    "demo": ("fishcnn.commands.demo", "classify photos on a local web page"),
    "inspect_data": ("fishcnn.commands.inspect_data", "report on a folder of images"),
    "benchmark": ("fishcnn.benchmark.benchmark", "measure the speed of this project"),
}


def main() -> None:
    """Run ``fishcnn COMMAND SETTINGS``: what the scripts do, under one name."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in COMMANDS:
        start(name, sys.argv[2:])
        return
    wanted = name in ("-h", "--help")
    stream = sys.stdout if wanted else sys.stderr
    if not wanted:
        print(f"error: {name} is not a command of fishcnn\n", file=stream)
    lines = [f"  {command:13} {purpose}" for command, (_, purpose) in COMMANDS.items()]
    print("usage: fishcnn COMMAND [--help] [SETTING=VALUE ...]\n", *lines, sep="\n", file=stream)
    sys.exit(0 if wanted else 2)


def start(name: str, typed: Sequence[str] | None = None) -> None:
    """Run a command, and exit with status 1 if any of its jobs has failed.

    A :class:`FishError` is printed in one piece. Within a sweep, whatever else goes wrong with a
    job is printed as well and does not take the other jobs along.

    Args:
        name: of the command.
        typed: what stands after it on the command line; None is all of it.
    """
    typed = sys.argv[1:] if typed is None else typed
    try:
        check_places(typed, writes_runs=name == "train")
    except FishError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    arguments = quote_values(typed)
    # Lightning repeats the whole command line for every further process of a fit.
    repeated = [*sys.argv[: len(sys.argv) - len(arguments)], *arguments]
    failed, stands = False, Path.cwd()
    if usable_cpus() < given_cpus():
        # Read when torch is imported, which looks at no share of a container.
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cpus()))

    def job(config: DictConfig) -> float | None:
        nonlocal failed
        sys.argv = repeated
        os.chdir(stands)  # also with hydra.job.chdir=true: paths are meant from where the user is
        try:
            result: float | None = getattr(import_module(COMMANDS[name][0]), name)(config)
            return result
        except (FishError, OmegaConfBaseException) as error:
            failed = True
            print(f"error: {error}", file=sys.stderr)
        except Exception:
            if HydraConfig.get().mode != RunMode.MULTIRUN:
                raise
            failed = True
            traceback.print_exc()
        return float("nan")

    # Hydra names the log file of a job after the module of its function.
    job.__module__ = name
    sys.argv = [sys.argv[0], *arguments]  # Hydra does not know the word after the program
    hydra.main(config_path=str(CONF), config_name=name, version_base="1.3")(job)()
    if failed:
        sys.exit(1)
