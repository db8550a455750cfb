"""The study that all processes of a search share: a journal in its folder.

optuna belongs to the extra ``tune`` and is imported where it is used.
"""

import errno
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fishcnn.commands.settings import MISSING, change_in_words
from fishcnn.commands.tune.space import Choice, Entry, Value
from fishcnn.commands.tune.workers import is_alive
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import unwritable
from fishcnn.utils.run_folder import JOURNAL, RunFolder

if TYPE_CHECKING:
    import optuna
    from optuna.storages.journal import BaseJournalBackend
    from optuna.trial import FrozenTrial

# What the journal keeps of a study, and of a trial beside its values.
_SETTINGS, _TYPED = "settings", "typed"
_WORKER, _RUN, _AGAIN = "worker", "run", "again"
ACCURACY, ERROR = "val_acc", "error"
_ANOTHER = "choose another folder by tune.study="


class Search:
    """The trials of a search, whoever runs them.

    Args:
        folder: of the search.
        space: what is varied.
        wanted: how many trials, in all.
        random_trials: how many of them are drawn at random.
        seed: of what is drawn.
        pruning: trials that have to be finished before any is pruned, and epochs that each is
            given; None to prune none.

    Attributes:
        study: optuna's.

    Raises:
        FishError: the journal is damaged or cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        space: Sequence[Entry],
        *,
        wanted: int,
        random_trials: int,
        seed: int,
        pruning: tuple[int, int] | None,
    ) -> None:
        import optuna

        self.folder, self.space, self.wanted = folder, space, wanted
        self._random, self._seed = random_trials, seed
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        file = folder / JOURNAL
        try:
            storage = optuna.storages.JournalStorage(_journal(file))
            names = optuna.study.get_all_study_names(storage)
            self.study = optuna.create_study(
                storage=storage,
                study_name=names[0] if names else folder.name,
                load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(*pruning)
                if pruning
                else optuna.pruners.NopPruner(),
            )
        except OSError as error:
            raise unwritable(file, error) from error
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise FishError(f"{file} is damaged ({error}): {_ANOTHER}") from error

    @property
    def typed(self) -> list[str]:
        """What was typed for the last start, as Hydra takes it; nothing before the first one."""
        return [*map(str, self.study.user_attrs.get(_TYPED, ()))]

    def begin(
        self,
        settings: Mapping[str, Any],
        first: Mapping[str, Value] | None,
        typed: Sequence[str] = (),
    ) -> bool:
        """Write down what the trials have in common, or check that it is the same as before.

        Args:
            settings: what is varied and what is not, by name.
            first: values of the first trial; None where it is drawn.
            typed: for this start, and for earlier ones where it has not been replaced.

        Returns:
            Whether it was begun before.

        Raises:
            FishError: a setting differs from that of the study; the message has both values.
        """
        with self._alone():
            before = self.study.user_attrs.get(_SETTINGS)
            if before is None:
                self.study.set_user_attr(_SETTINGS, dict(settings))
                if first:
                    self.study.enqueue_trial(dict(first))
                self.study.set_user_attr(_TYPED, [*typed])
                return False
        now = json.loads(json.dumps(settings))
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if names:
            told = [
                change_in_words(name, before.get(name, MISSING), now.get(name, MISSING), "study")
                for name in names[:3]
            ]
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise FishError(
                f"tune.study={self.folder} was begun with other settings: {', '.join(told)}{more}; "
                f"leave them out or type them as before, or {_ANOTHER}"
            )
        self.study.set_user_attr(_TYPED, [*typed])
        return True

    def next_trial(self, worker: str) -> "tuple[optuna.Trial, dict[str, Value]] | None":
        """The next trial and its values; None where all are done, or run somewhere else.

        Before that, what processes that are gone have left unfinished is queued again.
        """
        import optuna

        with self._alone():
            self._queue_again(worker)
            if self.count() >= self.wanted:
                return None
            # Of each trial, so that processes draw different ones.
            seed = np.random.SeedSequence([self._seed, len(self.study.trials)])
            self.study.sampler = optuna.samplers.TPESampler(
                n_startup_trials=self._random, seed=int(seed.generate_state(1)[0])
            )
            trial = self.study.ask()
            trial.set_user_attr(_WORKER, worker)
            if _RUN not in trial.user_attrs:
                trial.set_user_attr(_RUN, f"{trial.number:03}")
            return trial, {entry.name: _suggest(trial, entry) for entry in self.space}

    def give_back(self, trial: "optuna.Trial") -> None:
        """Queue a trial again that was stopped, to go on in its run folder."""
        with self._alone():
            self._again(next(one for one in self.study.trials if one.number == trial.number))

    def run_of(self, trial: "optuna.Trial | FrozenTrial") -> RunFolder:
        """The run folder of a trial."""
        return RunFolder(self.folder / str(trial.user_attrs.get(_RUN, f"{trial.number:03}")))

    def count(self) -> int:
        """Trials that are done or running."""
        return len(self._trials("COMPLETE", "PRUNED", "RUNNING"))

    def finished(self) -> "list[FrozenTrial]":
        """Trials that were not ended early, in their order."""
        return self._trials("COMPLETE")

    def pruned(self) -> "list[FrozenTrial]":
        """Trials that were ended early, in their order."""
        return self._trials("PRUNED")

    def running(self) -> "list[FrozenTrial]":
        """Trials that some process is at."""
        return self._trials("RUNNING")

    def failed(self) -> "list[FrozenTrial]":
        """Trials that have failed for good: not those that were stopped and queued again."""
        again = {one.user_attrs.get(_AGAIN) for one in self.study.trials}
        return [one for one in self._trials("FAIL") if one.number not in again]

    def _trials(self, *states: str) -> "list[FrozenTrial]":
        return [one for one in self.study.get_trials(deepcopy=False) if one.state.name in states]

    def _queue_again(self, worker: str) -> None:
        for trial in self._trials("RUNNING"):
            other = trial.user_attrs.get(_WORKER)
            if other is None or not is_alive(self.folder, other, asking=worker):
                self._again(trial)

    def _again(self, trial: "FrozenTrial") -> None:
        import optuna

        # In this order: a kill in between costs a trial, and does not run one twice at a time.
        self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        run = self.run_of(trial).path.name
        self.study.enqueue_trial(trial.params, user_attrs={_RUN: run, _AGAIN: trial.number})

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from taking a trial meanwhile."""
        from optuna.storages.journal import JournalFileOpenLock

        lock = JournalFileOpenLock(str(self.folder / "next-trial"))
        lock.acquire()
        try:
            yield
        finally:
            lock.release()


def _suggest(trial: "optuna.Trial", entry: Entry) -> Value:
    if isinstance(entry, Choice):
        chosen: Value = trial.suggest_categorical(entry.name, entry.values)
        return chosen
    if entry.is_whole:
        return trial.suggest_int(entry.name, int(entry.low), int(entry.high), log=entry.log)
    return trial.suggest_float(entry.name, entry.low, entry.high, log=entry.log)


def _journal(file: Path) -> "BaseJournalBackend":
    """A journal in which a line that a kill or a full disk has cut short spoils no other.

    optuna would write the next line behind it, and nobody could read the journal any more.
    """
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    # Absolute, and no link: a link beside a relative path leads nowhere, and is waited for forever.
    lock = JournalFileOpenLock(str(file.absolute()))

    class WholeLines(JournalFileBackend):
        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            text = "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in logs)
            lock.acquire()
            try:
                append_lines(file, text)
            finally:
                lock.release()

    return WholeLines(str(file.absolute()), lock)


def append_lines(file: Path, text: str) -> None:
    """Append lines to a file behind its last whole line, all of them or none.

    Raises:
        OSError: the disk is full, say; the file is as it was.
    """
    with file.open("r+b", buffering=0) as stream:
        end = stream.seek(0, os.SEEK_END)
        if end:
            stream.seek(end - 1)
            if stream.read(1) != b"\n":
                stream.seek(0)
                end = stream.readall().rfind(b"\n") + 1
                stream.truncate(end)
        stream.seek(end)
        content = text.encode()
        try:
            if stream.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
            os.fsync(stream.fileno())
        except OSError:
            stream.truncate(end)
            raise


def best_of(trials: "Sequence[FrozenTrial]") -> "FrozenTrial | None":
    """The trial with the lowest validation loss; None of none."""
    return min(trials, key=loss_of, default=None)


def loss_of(trial: "FrozenTrial") -> float:
    """The validation loss of a trial; infinity without any."""
    return math.inf if trial.value is None else trial.value
