import os
import socket
import sys
import textwrap
import threading
import time
from multiprocessing.connection import Client
from pathlib import Path

import pytest

import fishcnn
from fishcnn.utils.errors import FishError
from fishcnn.utils.peers import Leader


def start(leader: Leader, rank: int, work: str) -> None:
    """Start a process that does some work for every task."""
    there = f"'127.0.0.1', {leader.port}, '{leader.key}', {rank}"
    program = f"""
        import os, sys, time
        from fishcnn.utils.peers import tasks
        for task in tasks({there}):
            {work}
    """
    place = {"PYTHONPATH": str(Path(fishcnn.__file__).parents[1])}
    leader.start(rank, [sys.executable, "-c", textwrap.dedent(program)], place)


def test_others_do_what_they_are_told_until_they_are_let_go(tmp_path: Path) -> None:
    leader = Leader(2, everywhere=False)
    for rank in (1, 2):
        start(leader, rank, f"open(r'{tmp_path}/{rank}-' + task, 'w').close()")
    for task in ("a", "b"):
        leader.tell(task)
    leader.end(well=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-a", "1-b", "2-a", "2-b"]
    assert leader.failure() is None


@pytest.mark.parametrize(
    ("work", "how"),
    [
        ("os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
        ("sys.exit(3)", "has ended with status 3"),
    ],
)
def test_it_is_known_who_has_died_and_how(work: str, how: str) -> None:
    leader = Leader(2, everywhere=False)
    start(leader, 1, "time.sleep(600)")
    start(leader, 2, work)
    leader.tell("work")
    failure = leader.failure(60)
    leader.end(well=False)  # which does not wait for the one that is asleep
    assert failure is not None
    assert failure.startswith(f"process 2 of this training, of 3 numbered from 0, {how}")


def test_one_that_dies_before_it_has_come_is_not_waited_for() -> None:
    leader = Leader(1, everywhere=False)
    leader.start(1, [sys.executable, "-c", "import sys; sys.exit(1)"], {})
    with pytest.raises(FishError, match=r"process 1 .* has ended with status 1"):
        leader.tell("work")
    leader.end(well=False)


class Harm:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_stranger_keeps_nobody_waiting_and_is_not_believed(tmp_path: Path) -> None:
    leader = Leader(1, everywhere=False)
    address = ("127.0.0.1", leader.port)
    silent, loud = socket.create_connection(address), socket.create_connection(address)
    loud.sendall(b"GET / HTTP/1.1\r\n\r\n")
    # Nor is what somebody sends who knows the key.
    with Client(address, authkey=leader.key.encode()) as known:
        known.send(Harm(tmp_path / "harm"))
        with pytest.raises((EOFError, OSError)):
            known.recv_bytes()
    start(leader, 1, f"open(r'{tmp_path}/' + task, 'w').close()")
    leader.tell("done")
    leader.end(well=True)
    assert [path.name for path in tmp_path.iterdir()] == ["done"]
    for one in (silent, loud):
        one.close()


def test_who_is_not_waited_for_any_more_finds_nobody() -> None:
    before = set(threading.enumerate())
    leader = Leader(1, everywhere=False)
    leader.end(well=False)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", leader.port), 5)
    deadline = time.monotonic() + 60
    while set(threading.enumerate()) - before:  # also threads that another one begins
        assert time.monotonic() < deadline
        time.sleep(0.01)
