"""What a worker answers over HTTP. Law: reading only, on loopback unless told otherwise; no answer waits for the data.

`/metrics` for Prometheus, `/health` (is the process alive: else restart it), `/ready` (do all its units run: else
wait), `/status.json`, and `/`, the same for people.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from random import sample
from typing import Any, cast

import orjson
from aiohttp import web
from aiohttp.web_runner import BaseSite
from faust.web.drivers.aiohttp import Web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from streamml.errors import StreammlError
from streamml.runtime.access import check_token
from streamml.runtime.monitoring import Collector, Sources
from streamml.runtime.status import status_of

FIRST_PORT = 8066
BELOW_EPHEMERAL = range(20_000, 32_768)
"""Ports that the kernel does not hand out to outgoing connections, which would take ours away across a restart."""
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
        "frame-ancestors 'none'"
    ),
}


def add_routes(router: web.UrlDispatcher, sources: Sources, failure: Callable[[], str | None]) -> None:
    """Answer from `sources`; `failure()` is the line that says what has ended this worker, None while it is well."""
    registry = CollectorRegistry()
    for own in (ProcessCollector, PlatformCollector, GCCollector):
        own(registry=registry)
    registry.register(Collector(sources))

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={**HEADERS, "Content-Type": content_type})

    async def health(request: web.Request) -> web.Response:
        error = failure()
        return _json({"status": "failed", "error": error} if error else {"status": "alive"}, 503 if error else 200)

    async def ready(request: web.Request) -> web.Response:
        error, missing = failure(), sources.missing()
        if error:
            missing.insert(0, error)
        return _json({"ready": not missing, "missing": missing}, 503 if missing else 200)

    async def status(request: web.Request) -> web.Response:
        return _json(status_of(sources))

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=_page(), content_type="text/html", headers=HEADERS)

    for path, answer in (
        ("/metrics", metrics),
        ("/health", health),
        ("/ready", ready),
        ("/status.json", status),
        ("/", page),
    ):
        router.add_get(path, answer)


def free_port(host: str, port: int) -> int:
    """`port` if it can be listened on; for 0 a free one, the default first. It is not kept: see `listen`.

    Raises:
        StreammlError: `port` is in use, or `host` is not an address of this machine.
    """
    with listen(host, port) as listener:
        return listener.port


def may_listen(host: str, port: int, token: str | None) -> None:
    """Return if a server with this token could listen on `port` now.

    Raises:
        StreammlError: see `listen` and `check_token`.
    """
    with listen(host, port) as listener:
        check_token(host, listener.addresses, token)


def listen(host: str, port: int) -> Listener:
    """Listen on `port`, or for 0 on a free one, the default first; nothing is answered before `serve_on`.

    Raises:
        StreammlError: `port` is in use, or `host` is not an address of this machine.
    """
    if port:
        try:
            return Listener(host, port)
        except OSError as error:
            raise StreammlError(
                f"cannot listen on {host}:{port} ({error.strerror or error}); give another --web-port, or 0"
            ) from error
    refusal: OSError | None = None
    for candidate in (FIRST_PORT, *sample(BELOW_EPHEMERAL, 50)):
        try:
            return Listener(host, candidate)
        except OSError as error:
            refusal = error
    raise StreammlError(f"found no port to listen on at {host} ({refusal}); give one with --web-port")


class Listener:
    """The sockets of one port, one for each address of `host`: ours from here on, so that no other process gets it.

    Raises OSError if the port is in use at one of them.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = port
        self.sockets: list[socket.socket] = []
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
                self._add(family, address)
        except OSError:
            self.close()
            raise

    @property
    def addresses(self) -> list[str]:
        """Where it listens."""
        return [held.getsockname()[0] for held in self.sockets]

    def _add(self, family: int, address: Any) -> None:
        held = socket.socket(family, socket.SOCK_STREAM)
        self.sockets.append(held)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        held.bind(address)
        held.listen(128)

    def close(self) -> None:
        """Give the port up, unless a server has taken it over: it closes the sockets itself. Idempotent."""
        for held in self.sockets:
            held.close()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def serve_on(server: Web, listener: Listener) -> None:
    """Let Faust's web server answer on these sockets, when it starts, instead of binding its port by itself."""
    server._transport_handlers = {"tcp": lambda: cast(BaseSite, _Sites(server._runner, listener.sockets))}


class _Sites:
    """What Faust takes for one site of aiohttp; the runner knows those that it starts, and stops them."""

    def __init__(self, runner: web.AppRunner, sockets: Sequence[socket.socket]) -> None:
        self._runner = runner
        self._sockets = sockets

    async def start(self) -> None:
        for held in self._sockets:
            await web.SockSite(self._runner, held).start()


def _json(value: Any, status: int = 200) -> web.Response:
    body = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8", headers=HEADERS)


@cache
def _page() -> str:
    return (files("streamml.runtime") / "page.html").read_text("utf-8")
