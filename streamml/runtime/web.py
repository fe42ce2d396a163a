"""What a worker answers over HTTP. Law: reading only, on loopback unless told otherwise; no answer waits for the data.

`/metrics` for Prometheus, `/health` (is the process alive: else restart it), `/ready` (do all its units run: else
wait), `/status.json`, and `/`, the same for people.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from random import sample
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from streamml.errors import StreammlError
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
    """`port` if it can be listened on; for 0 a free one, the default first.

    Raises:
        StreammlError: `port` is in use, or `host` is not an address of this machine.
    """
    if port:
        error = _refusal(host, port)
        if error is not None:
            raise StreammlError(
                f"cannot listen on {host}:{port} ({error.strerror or error}); give another --web-port, or 0"
            )
        return port
    for candidate in (FIRST_PORT, *sample(BELOW_EPHEMERAL, 50)):
        if (error := _refusal(host, candidate)) is None:
            return candidate
    raise StreammlError(f"found no port to listen on at {host} ({error}); give one with --web-port")


def _refusal(host: str, port: int) -> OSError | None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _json(value: Any, status: int = 200) -> web.Response:
    body = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8", headers=HEADERS)


@cache
def _page() -> str:
    return (files("streamml.runtime") / "page.html").read_text("utf-8")
