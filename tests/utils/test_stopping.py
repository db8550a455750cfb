"""A signal ends what is begun, wherever it comes."""

import signal
import sys
import time
import weakref
from collections.abc import Callable, Iterator

import pytest

from fishcnn.utils import stopping


class Thing:
    """Something that goes when nobody holds it any more."""


class Stops:
    """A signal comes while it goes."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def finalize() -> None:
    weakref.finalize(Thing(), signal.raise_signal, signal.SIGTERM)


def weak_callback() -> None:
    thing = Thing()
    kept = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGTERM))
    del thing
    assert kept() is None


@pytest.fixture(autouse=True)
def _watched() -> Iterator[None]:
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    answers = {name: signal.getsignal(name) for name in names}
    stopping.watch()
    yield
    stopping.watch()  # without the signals of the test
    for name, answer in answers.items():
        signal.signal(name, answer)


def wait(seconds: float) -> None:
    """Wait as joblib does for its jobs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.01)


def ended_after(*calls: Callable[[], object]) -> None:
    with stopping.raising():
        for call in calls:
            call()
        wait(60)


@pytest.mark.parametrize("go", [finalize, Stops, weak_callback])
def test_a_stop_that_comes_in_a_finalizer_is_raised_when_that_is_over(
    go: Callable[[], object], capfd: pytest.CaptureFixture[str]
) -> None:
    hook = sys.unraisablehook
    with pytest.raises(stopping.Stopped):
        ended_after(go)
    assert stopping.stopped_by() == signal.SIGTERM
    assert capfd.readouterr() == ("", "")
    assert sys.unraisablehook is hook


def test_a_stop_is_raised_until_it_is_heard() -> None:
    heard = []

    class Slow:
        def __del__(self) -> None:
            try:
                wait(60)
            except stopping.Stopped:
                heard.append(True)
                raise

    with pytest.raises(stopping.Stopped):
        ended_after(Stops, Slow)  # which takes so long that the next one comes there
    assert heard == [True]


def test_a_stop_that_comes_in_the_last_finalizer_is_not_lost() -> None:
    with pytest.raises(stopping.Stopped), stopping.raising():
        Stops()
    wait(4 * stopping._AGAIN)  # and is not sent again when nobody waits for it


def test_a_stop_that_was_noticed_meanwhile_is_not_raised_in_the_middle_of_its_end() -> None:
    with stopping.raising():
        Stops()
        with pytest.raises(stopping.Stopped):
            stopping.check_stopped()
        wait(4 * stopping._AGAIN)


def test_other_errors_of_finalizers_are_told_as_ever() -> None:
    told: list[type[BaseException]] = []

    class Fails:
        def __del__(self) -> None:
            raise ValueError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda thrown: told.append(thrown.exc_type))
        with stopping.raising():
            Fails()
    assert told == [ValueError]
