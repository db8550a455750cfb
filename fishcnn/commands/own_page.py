"""Who may talk to the demo: its own page on this computer, and nobody else's."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_LOCAL = {"127.0.0.1", "localhost", "::1"}


class OwnPageOnly:
    """ASGI middleware that refuses the requests which other pages in the same browser can make.

    A browser names the page that asks (``Origin``) and the computer that it believes to ask
    (``Host``): the page of another site has another origin, and a site whose name was made to
    point here (DNS rebinding) another host. Any port is allowed, as it may be forwarded.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with 403."""
        if scope["type"] == "lifespan" or is_own(scope["headers"]):
            await self.app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # a violation of the policy
            return
        head = [(b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "http.response.start", "status": 403, "headers": head})
        body = b"The demo answers only its own page, at the address that it has printed.\n"
        await send({"type": "http.response.body", "body": body})


def is_own(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a request is for this computer, and from a page of it or from no page at all.

    Args:
        headers: names in lower case and values, as ASGI gives them.
    """
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
    if len(hosts) != 1 or _name(f"//{hosts[0]}") not in _LOCAL:
        return False
    return all(origin.partition("://")[2].lower() == hosts[0].lower() for origin in origins)


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:  # brackets that do not close
        return None
