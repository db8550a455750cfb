"""The command that searches for good settings.

optuna belongs to the extra ``tune`` and is imported where it is used.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from math import isfinite
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fishcnn.commands.command_line import instead
from fishcnn.commands.known_settings import KnownSettings
from fishcnn.commands.run_files import read_notes
from fishcnn.commands.run_state import RunState, read_state, write_state
from fishcnn.commands.settings import check_settings
from fishcnn.commands.terminal import Terminal, print_raw
from fishcnn.commands.train.build_trainer import count_processes
from fishcnn.commands.train.fit import quiet_lightning
from fishcnn.commands.train.train_settings import check_train
from fishcnn.commands.tune.found_settings import show_results
from fishcnn.commands.tune.shared_settings import (
    default_values,
    fixed_settings,
    in_common,
    output_file,
    study_folder,
    typed_for_search,
)
from fishcnn.commands.tune.space import Entry, Range, Value, read_space, setting_of, with_value
from fishcnn.commands.tune.study import ACCURACY, ERROR, Search, best_of
from fishcnn.commands.tune.trials import run_trial
from fishcnn.commands.tune.workers import working
from fishcnn.models.scores import MONITOR
from fishcnn.utils import stopping
from fishcnn.utils.checks import flag, whole
from fishcnn.utils.errors import FishError, causes, typed
from fishcnn.utils.files import OF_DISK, Unwritable, made_folder
from fishcnn.utils.text import counted, percent

if TYPE_CHECKING:
    import optuna

_WANTED = {
    "tune.trials": whole(1),
    "tune.random_trials": whole(1),
    "tune.defaults_first": flag,
    "tune.seed": whole(0, 2**32 - 1),
    "tune.pruning.enabled": flag,
    "tune.pruning.trials": whole(1),
    "tune.pruning.epochs": whole(1),
}
# After so many failed trials in a row it is not the settings of a trial that are at fault.
_MOST_FAILED = 3


def check_tune(config: DictConfig) -> None:
    """Check the settings of a search, what is varied and what is not, before anything is read.

    Raises:
        FishError: one of them cannot be used.
    """
    check_settings(config, _WANTED)
    check_train(config)
    if config.ckpt_path or config.find_lr or config.sweep.resume:
        raise FishError(
            "ckpt_path, find_lr and sweep.resume belong to scripts/train.py: leave them out; a "
            "search goes on by tune.study="
        )
    if count_processes(config) != (1, 1):
        raise FishError(
            f"trainer.devices={typed(config.trainer.devices)}: a trial is trained by one process; "
            "choose 1, and start the command once for each device, with the same tune.study="
        )
    known = KnownSettings("train").groups
    for entry in read_space(config, known):
        if entry.name in known:
            continue
        ends = [entry.low, entry.high] if isinstance(entry, Range) else entry.values
        for value in () if getattr(entry, "typed", False) else ends:
            try:
                check_train(with_value(config, entry.name, value))
            except FishError as error:
                raise FishError(f"search.{entry.name}{_place(entry, value)}: {error}") from error


def _place(entry: Entry, value: Value) -> str:
    if isinstance(entry, Range):
        return f".{'low' if value == entry.low else 'high'}={typed(value)}"
    return f"={typed(entry.described())}"


def tune(config: DictConfig) -> None:
    """Search as ``conf/tune.yaml`` says, until as many trials are done as are wanted.

    Raises:
        FishError: optuna is not installed, a setting cannot be used, the study was begun with other
            settings, or trials fail whatever their settings are.
    """
    if find_spec("optuna") is None:
        raise FishError('tune needs optuna, which is not installed: pip install -e ".[tune]"')
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        raise FishError("tune is no sweep: leave out -m; what is varied is named by search.NAME=")
    quiet_lightning()
    check_tune(config)
    space = read_space(config, KnownSettings("train").groups)
    if not space:
        raise FishError("search: nothing is left to vary; add search.optimizer.lr=[1e-3,3e-3], say")
    fixed = fixed_settings(config, space)
    folder = study_folder(config)
    output = output_file(config, folder)
    made_folder(folder)
    print_raw(Terminal(), [f"search: {folder}"])
    pruning = config.tune.pruning
    with working(folder) as worker:
        search = Search(
            folder,
            space,
            wanted=config.tune.trials,
            random_trials=config.tune.random_trials,
            seed=config.tune.seed,
            pruning=(pruning.trials, pruning.epochs) if pruning.enabled else None,
        )
        first = default_values(config, space) if config.tune.defaults_first else None
        again = search.begin(in_common(config, space), first, typed_for_search(config))
        how = (
            "it was begun before and goes on under its own settings" if again else "it is a new one"
        )
        print_raw(Terminal(), [how])
        with stopping.telling(lambda: _so_far(search)):
            _run_trials(search, fixed, worker, config)
        show_results(search, fixed, output)


def _run_trials(search: Search, fixed: Sequence[str], worker: str, config: DictConfig) -> None:
    failed = 0
    before = len(search.finished()) + len(search.pruned())
    if before >= search.wanted:
        done = f"{counted(before, 'trial')} done already"
        print_raw(Terminal(), [f"{done}; raise tune.trials={search.wanted} for more"])
    while following := search.next_trial(worker):
        trial, values = following
        try:
            _run_one(search, trial, values, fixed, config)
            failed = 0
        except BaseException as error:
            # Lightning makes a SystemExit of Ctrl-C.
            if not isinstance(error, Exception) or _is_of_disk(error):
                # With what it has; where even that cannot be written, the next start does it.
                with suppress(OSError, ValueError, RuntimeError):
                    search.give_back(trial)
                raise
            stopping.check_stopped()
            failed += 1
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            _fail(search, trial, said)
            if failed == _MOST_FAILED:
                raise FishError(
                    f"{failed} trials in a row have failed, the last one: {said}; see "
                    f"{search.run_of(trial).printed}"
                ) from error


def _run_one(
    search: Search,
    trial: "optuna.Trial",
    values: Mapping[str, Value],
    fixed: Sequence[str],
    config: DictConfig,
) -> None:
    """Train a trial, or the rest of it, and tell the study."""
    import optuna

    run, pruning = search.run_of(trial), config.tune.pruning.enabled
    settings = [setting_of(entry, values[entry.name]) for entry in search.space]
    shown = " ".join(settings)
    print_raw(Terminal(), [f"\ntrial {run.path.name} of {search.wanted}: {shown}"])
    pruned = False
    if read_state(run) == RunState.PRUNED:  # this process, or another, was killed before it told so
        search.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        print_raw(Terminal(), ["  pruned already"])
        return

    def report(epoch: int, loss: float) -> bool:
        nonlocal pruned
        trial.report(loss, epoch)
        bad = not isfinite(loss) or (pruning and trial.should_prune())
        before, pruned = pruned, bad and epoch < config.trainer.max_epochs
        if pruned != before:  # now: killed later, it would look like one that has finished
            write_state(run, RunState.PRUNED if pruned else RunState.RUNNING)
        return pruned

    begin = time.perf_counter()
    loss = run_trial([*fixed, *settings], run, report)
    summary = read_notes(run.summary)
    accuracy = summary.get("val_acc")
    trial.set_user_attr(ACCURACY, accuracy)
    if pruned or not isfinite(loss):
        write_state(run, RunState.PRUNED)
        search.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        end = f"pruned after epoch {summary['epochs']}"
    else:
        search.study.tell(trial, loss)
        best = best_of(search.finished()) or trial
        leads = best.number == trial.number
        end = "the best so far" if leads else f"best so far: {search.run_of(best).path.name}"
    told = f"{MONITOR} {loss:.4f}" if isfinite(loss) else f"no finite {MONITOR}"
    seconds = time.perf_counter() - begin
    print_raw(Terminal(), [f"  {told}, accuracy {percent(accuracy)}, {seconds:.0f} s; {end}"])


def _fail(search: Search, trial: "optuna.Trial", said: str) -> None:
    import optuna

    print_raw(Terminal(), [f"  failed: {said}; see {search.run_of(trial).printed}"])
    trial.set_user_attr(ERROR, said)
    search.study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _is_of_disk(error: BaseException) -> bool:
    return any(
        isinstance(one, Unwritable) or (isinstance(one, OSError) and one.errno in OF_DISK)
        for one in causes(error)
    )


def _so_far(search: Search) -> str:
    done = len(search.finished()) + len(search.pruned())
    again = instead({"tune.study": str(search.folder)})
    return f"; {done} of {counted(search.wanted, 'trial')} done; to go on: {again}"
