"""Requests that a page of another site can make a browser send to the demo."""

import asyncio

import pytest

from fishcnn.commands.own_page import Message, OwnPageOnly

HERE = {"host": "127.0.0.1:7860"}
OWN = [
    HERE,
    {"host": "localhost:7860"},
    {"host": "[::1]:7860"},
    {"host": "LOCALHOST"},
    {**HERE, "origin": "http://127.0.0.1:7860"},
    {"host": "localhost:8000", "origin": "http://localhost:8000"},  # a forwarded port
]
FOREIGN = [
    {},
    {"host": ""},
    {"host": "evil.example"},
    {"host": "evil.example:7860", "origin": "http://evil.example:7860"},
    {"host": "127.0.0.1.evil.example:7860"},
    {"host": "localhost@evil.example"},
    {"host": "[::1"},
    {**HERE, "origin": "http://evil.example"},
    {**HERE, "origin": "https://evil.example:7860"},
    {**HERE, "origin": "null"},
    {**HERE, "origin": ""},
    {**HERE, "origin": "http://127.0.0.1:8080"},  # another server of this computer
    {**HERE, "origin": "http://localhost:7860"},  # not the address that the person has opened
    {**HERE, "origin": "http://[::1"},
]


def answer(kind: str, headers: dict[str, str]) -> list[Message]:
    """What a request gets; an answer of the app itself is ``{"type": "app"}``."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("a request that may be refused is not read")

    async def app(*_: object) -> None:
        await send({"type": "app"})

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "headers": raw}
    asyncio.run(OwnPageOnly(app)(scope, receive, send))
    return sent


@pytest.mark.parametrize("headers", OWN, ids=str)
def test_the_own_page_is_answered(headers: dict[str, str]) -> None:
    for kind in ("http", "websocket"):
        assert answer(kind, headers) == [{"type": "app"}]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_other_pages_are_refused(headers: dict[str, str]) -> None:
    start, body = answer("http", headers)
    assert start["status"] == 403
    assert b"only its own page" in body["body"]
    assert [message["type"] for message in answer("websocket", headers)] == ["websocket.close"]
