"""What a program says and does when SIGINT, SIGTERM or SIGHUP asks it to end.

A signal is raised as :class:`Stopped` where the main thread is, so that ``finally`` and ``with``
tidy up; where Python throws that away, as it does in finalizers, it is raised again soon. Nothing
heavy may be imported here, as this has to be there before anything else.
"""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import NoReturn

# SIGTERM and SIGHUP are what batch systems call them.
_WORDS = {
    "SIGINT": "Ctrl-C",
    "SIGTERM": "SIGTERM (kill)",
    "SIGHUP": "SIGHUP (its terminal was closed)",
    "SIGUSR1": "SIGUSR1 (SLURM needs the machine)",
}


# By it SLURM can say that a job is about to lose its machine; Windows has none.
_PREEMPTION: signal.Signals | None = getattr(signal, "SIGUSR1", None)

_AGAIN = 0.05  # seconds until a signal is raised again; finalizers are shorter


class Stopped(KeyboardInterrupt):
    """A signal asks the program to end; which one is :func:`stopped_by`."""


class _State:
    """Of this process, as signals are."""

    program = False  # whether this process ends with the command
    watched = False
    received: int | None = None
    preempted = False  # whether SIGUSR1 has come, which asks for an end at the next occasion
    raises = False  # whether a signal is raised; else it ends the program at once
    swallowed = False  # whether what was raised has been thrown away
    again = False  # whether the next signal is the same one, sent by this process
    line: Callable[[], str] | None = None
    said = False
    tidy: Callable[[], None] | None = None


def watch(line: Callable[[], str] = lambda: " before it began") -> None:
    """Answer the three signals from now on; while there is nothing to tidy up, end at once.

    A signal that is ignored stays so, as ``nohup`` and shells in the background want it. In another
    thread than the main one nothing happens.

    Args:
        line: what to say then; see :func:`telling`.
    """
    _State.watched = True
    _State.received, _State.raises, _State.said = None, False, False
    _State.line, _State.tidy = line, None
    _State.preempted = _State.swallowed = _State.again = False
    answer_signals()


def watch_program(scripts: str) -> None:
    """Call :func:`watch` if a program of this project is starting, not a test or another program.

    Args:
        scripts: the folder of its scripts; the other program is ``fishcnn``.
    """
    program = getattr(sys.modules["__main__"], "__file__", None) or ""
    if (
        os.path.basename(program) == "fishcnn"
        or program.endswith(os.path.join("fishcnn", "__main__.py"))
        or os.path.dirname(os.path.abspath(program)) == scripts
    ):
        _State.program = True
        watch()


def answer_signals() -> None:
    """Take the signals back from whoever has taken them since :func:`watch`, if that was called."""
    if _State.watched and threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _answer)


def answer_preemption() -> None:
    """Note SIGUSR1 from now on, which would end the program at once; only under SLURM."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if _PREEMPTION and watches_preemption() and in_main_thread:
        signal.signal(_PREEMPTION, _note_preemption)


def watches_preemption() -> bool:
    """Whether SIGUSR1 is noted: in all processes of a fit, or in none."""
    return "SLURM_JOB_ID" in os.environ and _PREEMPTION is not None


def preempted() -> bool:
    """Whether SIGUSR1 has come: what has to be kept is to be kept now."""
    return _State.preempted


def stop_preempted() -> NoReturn:
    """End as SIGUSR1 has asked for, when everything is kept.

    Raises:
        Stopped: always.
    """
    _State.received = _State.received or _PREEMPTION
    raise Stopped(_name())


def stopped_by() -> signal.Signals | None:
    """The first signal that has come since :func:`watch`."""
    return None if _State.received is None else signal.Signals(_State.received)


def check_stopped() -> None:
    """Raise :class:`Stopped` again where a library has swallowed it.

    Raises:
        Stopped: a signal has come.
    """
    if _State.received is not None:
        _State.swallowed = _State.again = False
        raise Stopped(_name())


@contextmanager
def raising() -> Iterator[None]:
    """Let a signal be raised as :class:`Stopped` meanwhile.

    A second Ctrl-C ends the program at once. Any other second signal changes nothing: batch systems
    send several, and the end is under way.
    """
    before, _State.raises = _State.raises, True
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_keep_stopped, hook)
    if not before:
        _State.line = None
    try:
        yield
        if not before and _State.swallowed:  # too late to send it again
            check_stopped()
    finally:
        sys.unraisablehook = hook
        _State.raises = before
        _State.swallowed = _State.swallowed and before


@contextmanager
def telling(line: Callable[[], str]) -> Iterator[None]:
    """Say this line, made when it is needed, if a signal comes meanwhile."""
    before, _State.line = _State.line, line
    try:
        yield
    except BaseException as error:
        if _State.received is not None or isinstance(error, KeyboardInterrupt):
            say()
        raise
    finally:
        _State.line = before


def tidying(tidy: Callable[[], None]) -> None:
    """Call this before a signal ends the program at once, and no ``finally`` is reached."""
    _State.tidy = tidy


def say() -> None:
    """Print what there is to say of the end, once; see :func:`telling`."""
    if not _State.said:
        line = _State.line() if _State.line else ""
        _State.said = True
        with suppress(OSError):  # SIGHUP says that the terminal is gone
            # Not by print, in the middle of which the signal may have come.
            os.write(2, f"stopped by {_name()}{line}\n".encode(errors="backslashreplace"))


def done() -> None:
    """Say no more: a signal that comes now interrupts nothing."""
    _State.said = True


def leave() -> NoReturn:
    """End a program that was stopped, without waiting for threads that are in the middle of things.

    Raises:
        SystemExit: where the process is another program's, a test's say.
    """
    if not _State.program:
        sys.exit(exit_status())
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(exit_status())


def exit_status() -> int:
    """What a shell reports of a program that this signal has ended: 130, 143 or 129."""
    return 128 + (stopped_by() or signal.SIGINT)


def _name() -> str:
    """The signal in the words of who has sent it."""
    name = (stopped_by() or signal.SIGINT).name
    return _WORDS.get(name, name)


def _note_preemption(number: int, frame: FrameType | None) -> None:
    _State.preempted = True


def _keep_stopped(
    otherwise: Callable[["sys.UnraisableHookArgs"], object], thrown: "sys.UnraisableHookArgs"
) -> None:
    """See that what a finalizer may not raise is raised when that is over, and say nothing."""
    if not issubclass(thrown.exc_type, Stopped):
        otherwise(thrown)
        return
    _State.swallowed = True
    # Not by threading, which waits for the thread to begin, and for a lock that this thread holds
    # if the finalizer came in the middle of threading.
    with suppress(RuntimeError):  # there can be no more threads
        _thread.start_new_thread(_send_again, ())


def _send_again() -> None:
    time.sleep(_AGAIN)
    if _State.swallowed and _State.received is not None:
        _State.again = True
        if sys.platform == "win32":  # where the other call would end the process
            signal.raise_signal(_State.received)
        else:  # to interrupt the main thread, whatever it waits for
            os.kill(os.getpid(), _State.received)


def _answer(number: int, frame: FrameType | None) -> None:
    if _State.again and number == _State.received:
        _State.again = False
        if _State.swallowed and _State.raises:
            check_stopped()
        return
    first = _State.received is None
    if first:
        _State.received = number
    if _State.raises:
        if first:
            raise Stopped(_name())
        if number != signal.SIGINT:
            return
    say()
    # Idle processes of a pool wait for ever for one that is gone.
    if pools := sys.modules.get("multiprocessing"):
        for process in pools.active_children():
            if process.pid:  # joblib's processes have no kill()
                with suppress(OSError):
                    os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    if _State.tidy:
        _State.tidy()
    os._exit(exit_status())
