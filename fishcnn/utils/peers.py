"""The processes of one fit: the first one says what to do, and none outlives another.

Each of the others has a connection to the first one. The system closes it when either of them ends,
however that comes, on this machine or on another one; so nothing has to be asked again and again.
Both sides prove that they know the key before either takes anything from the other, and the first
process unpickles nothing at all. Nothing heavy may be imported here.
"""

import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import (
    Client,
    Connection,
    Listener,
    answer_challenge,
    deliver_challenge,
)
from queue import Queue
from signal import Signals
from typing import Any, cast

from fishcnn.utils.errors import FishError

# How long the others may take to begin once the first one is ready; they import torch meanwhile.
_JOIN_SECONDS = 300.0
_REACH_SECONDS = 30.0  # how long the network may keep one of them from the first one
# How long a process may take to notice that another one has gone, by an error of its next exchange
# with it; then it is ended. Some ways of exchange wait for ever.
_NOTICE_SECONDS = 20.0
# A process says its number in so many digits.
_DIGITS = 9


class Leader:
    """The first process of a fit, as the others find it.

    Args:
        others: how many there are.
        everywhere: whether they may come from other machines.

    Attributes:
        port: where it waits for them.
        key: that they have to know, printable.
    """

    def __init__(self, others: int, *, everywhere: bool) -> None:
        self.others = others
        self.key = secrets.token_hex(16)
        address = ("" if everywhere else "127.0.0.1", 0)
        self._listener = Listener(address, backlog=others)
        self.port: int = cast(tuple[str, int], self._listener.address)[1]
        self._connections: dict[int, Connection] = {}
        self._started: dict[int, subprocess.Popen[bytes]] = {}
        self._changed = threading.Condition()
        self._failure: str | None = None
        self._ended = False
        threading.Thread(target=self._accept, daemon=True).start()

    def start(self, rank: int, command: list[str], environment: Mapping[str, str]) -> None:
        """Start one of the others on this machine, and watch it."""
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
        self._started[rank] = process

        def watch() -> None:
            if status := process.wait():
                self._lose(rank, _how_it_ended(status))

        threading.Thread(target=watch, daemon=True).start()

    def tell(self, task: object) -> None:
        """Give the others a task, when all of them are there.

        Raises:
            FishError: one of them has died, or does not come.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._failure or len(self._connections) == self.others, _JOIN_SECONDS
            )
            if self._failure:
                raise FishError(self._failure)
            if missing := set(range(1, self.others + 1)) - self._connections.keys():
                seconds = f"{_JOIN_SECONDS:g}"
                raise FishError(
                    f"process {min(missing)} of this training has not begun after {seconds} s"
                )
        for connection in self._connections.values():
            with suppress(OSError):  # that it has died is heard elsewhere
                connection.send(task)

    def failure(self, seconds: float = 0.0) -> str | None:
        """Which of the others has died and how, None if none has; waits for such news."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure, seconds)
            return self._failure

    def end(self, *, well: bool) -> None:
        """Let the others go, or end them where something has gone wrong."""
        with self._changed:
            self._ended = True
        for connection in self._connections.values():
            with suppress(OSError):
                if well:
                    connection.send(None)
                connection.close()
        with suppress(OSError):  # or its thread would wait for others for ever
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        self._listener.close()
        for process in self._started.values():
            if not well:
                process.kill()
            process.wait()

    def _accept(self) -> None:
        while not self._ended:
            try:
                connection: Any = self._listener.accept()  # on Windows of another type as well
            except OSError:  # closed by end(), or no more files can be opened
                time.sleep(0.1)
                continue
            # In a thread of its own, as a stranger who has found the port may say nothing for ever.
            threading.Thread(target=self._meet, args=(connection,), daemon=True).start()

    def _meet(self, connection: Connection) -> None:
        """Take in one of the others, if it knows the key."""
        key = self.key.encode()
        try:
            deliver_challenge(connection, key)
            answer_challenge(connection, key)
            rank = int(connection.recv_bytes(_DIGITS))
        except Exception:  # a stranger may say anything
            connection.close()
            return
        with self._changed:
            self._connections[rank] = connection
            self._changed.notify_all()
        self._listen(rank, connection)

    def _listen(self, rank: int, connection: Connection) -> None:
        """Wait for the end of one of the others; it says nothing before that."""
        with suppress(EOFError, OSError):
            connection.recv_bytes(_DIGITS)
        if rank in self._started:  # by its exit status it is known how
            with suppress(subprocess.TimeoutExpired):
                self._started[rank].wait(5)
        self._lose(rank, "has died")

    def _lose(self, rank: int, how: str) -> None:
        with self._changed:
            if self._ended or self._failure:
                return
            self._failure = (
                f"process {rank} of this training, of {self.others + 1} numbered from 0, {how}: "
                "all of them are ended"
            )
            self._changed.notify_all()
        time.sleep(_NOTICE_SECONDS)
        if not self._ended:
            os.write(2, f"error: {self._failure}\n".encode(errors="backslashreplace"))
            for process in self._started.values():
                process.kill()
            os._exit(1)


def _how_it_ended(status: int) -> str:
    if status > 0:
        return f"has ended with status {status}, as it says above"
    with suppress(ValueError):
        name = Signals(-status).name
        perhaps = ", perhaps as memory ran out" if name == "SIGKILL" else ""
        return f"was killed by {name}{perhaps}"
    return f"was killed by signal {-status}"


def tasks(host: str, port: int, key: str, rank: int) -> Iterator[Any]:
    """Do what the first process of a fit says, until it says no more; end when it dies.

    Args:
        host: where it runs.
        port: where it waits.
        key: that it has given out.
        rank: of this process.
    """
    connection = cast(Connection, _patiently(lambda: Client((host, port), authkey=key.encode())))
    connection.send_bytes(str(rank).encode())
    received: Queue[Any] = Queue()

    def listen() -> None:
        try:
            while (task := connection.recv()) is not None:
                received.put(task)
        except (EOFError, OSError):
            os._exit(1)  # it has said why; in here nothing is written
        received.put(None)

    threading.Thread(target=listen, daemon=True).start()
    while (task := received.get()) is not None:
        yield task


def _patiently(connect: Callable[[], object]) -> object:
    """Try again while the network does not let us."""
    until = time.monotonic() + _REACH_SECONDS
    while True:
        try:
            return connect()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
