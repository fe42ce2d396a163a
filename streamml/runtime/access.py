"""Who may look at a worker over HTTP. Law: beyond loopback nothing is told without the token, which is never told.

The token is shown as `Authorization: Bearer` (RFC 6750) by programs, and as the password of `Basic` (RFC 7617), with
any user name, by browsers. `/health` answers everyone, with its status alone: whoever restarts a process has no token.

Without a token only requests to a name of this machine's loopback are answered: a page of another site, whose name an
attacker lets resolve to 127.0.0.1, would otherwise read ours with the browser of whoever looks at it (DNS rebinding).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, Iterable
from hashlib import sha256
from ipaddress import ip_address
from typing import TypeAlias
from urllib.parse import urlsplit

from aiohttp import web

from streamml.errors import StreammlError

LEAST = 16
"""Characters of a token; one that is much shorter can be guessed."""
OPEN = "/health"
ASKS = ('Basic realm="streamml", charset="UTF-8"', 'Bearer realm="streamml"')

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def check_token(host: str, addresses: Iterable[str], token: str | None) -> None:
    """May a server listen on these addresses of `host` with this token?

    Raises:
        StreammlError: other machines reach it and there is no token, or the token is none. It is not quoted.
    """
    if token is None:
        beyond = [address for address in addresses if not ip_address(address.partition("%")[0]).is_loopback]
        if beyond:
            raise StreammlError(
                f"--web-host {host} listens beyond this machine, at {beyond[0]}: set STREAMML_WEB_TOKEN to a secret "
                f"of {LEAST} characters or more, which readers must show, or leave --web-host out"
            )
    elif len(token) < LEAST or not (token.isascii() and token.isprintable() and " " not in token):
        raise StreammlError(
            f"STREAMML_WEB_TOKEN cannot be used: make it {LEAST} or more letters, digits or signs of ASCII, without "
            "spaces; `openssl rand -hex 16` prints one"
        )


def protect(app: web.Application, host: str, token: str | None) -> None:
    """Let `app` answer only those who may ask; to be called before it starts. `host` is where it listens."""
    expected = None if token is None else sha256(token.encode()).digest()

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if expected is None:
            asked = request.headers.get("Host")
            if asked is None or _is_here(asked, host):
                return await handler(request)
            return web.Response(status=421, text="this worker answers to the names of its own machine alone\n")
        # Hashes are compared, so that not even the token's length shows in the time that it takes.
        if hmac.compare_digest(sha256(shown(request.headers.get("Authorization", ""))).digest(), expected):
            return await handler(request)
        if request.path == OPEN:
            status = (await handler(request)).status
            return web.json_response({"status": "alive" if status == 200 else "failed"}, status=status)
        refusal = web.Response(
            status=401, text="this worker asks for its token: as a Bearer token, or as a password with any user name\n"
        )
        for scheme in ASKS:
            refusal.headers.add("WWW-Authenticate", scheme)
        return refusal

    app.middlewares.append(guarded)


def shown(authorization: str) -> bytes:
    """The token that a request shows; empty if it shows none."""
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode(errors="surrogateescape")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""


def _is_here(asked: str, host: str) -> bool:
    try:
        name = (urlsplit(f"//{asked}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if name in ("localhost", host.lower()) or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
