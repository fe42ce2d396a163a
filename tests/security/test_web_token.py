"""A worker's pages, asked by those who may and those who may not."""

from __future__ import annotations

import base64
import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from cli.conftest import Cli, Declare
from support.processes import Process, eventually, running
from support.tiny import tiny
from support.tiny_worker import topology_file
from support.toy_planes import ToyPlane, sources_of

from streamml.errors import StreammlError
from streamml.runtime.access import ASKS, check_token, protect
from streamml.runtime.web import add_routes

TOKEN = "correct-horse-battery-staple"
PATHS = ("/", "/metrics", "/status.json", "/ready", "/nothing", "/health/")

Client: TypeAlias = TestClient[web.Request, web.Application]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@contextmanager
def client(
    token: str | None, host: str = "127.0.0.1", failure: str | None = None
) -> Iterator[TestClient[web.Request, web.Application]]:
    app = web.Application()
    add_routes(app.router, sources_of(tiny("shop"), ToyPlane("score", 1)), lambda: failure)
    protect(app, host, token)
    yield TestClient(TestServer(app))


async def test_nothing_but_health_is_told_without_the_token() -> None:
    with client(TOKEN) as site:
        async with site:
            for path in PATHS:
                answer = await site.get(path)
                assert answer.status == 401, path
                assert tuple(answer.headers.getall("WWW-Authenticate")) == ASKS
                assert "shop" not in await answer.text()
            assert (await site.post("/health")).status == 405
            answer = await site.get("/health")
            assert (answer.status, await answer.json()) == (200, {"status": "alive"})


async def test_a_failure_is_told_to_those_alone_who_may_know_it() -> None:
    with client(TOKEN, failure="topic shop.events is gone") as site:
        async with site:
            answer = await site.get("/health")
            assert (answer.status, await answer.json()) == (503, {"status": "failed"})
            answer = await site.get("/health", headers={"Authorization": f"Bearer {TOKEN}"})
            assert (await answer.json())["error"] == "topic shop.events is gone"


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
        f"Digest {TOKEN}",
        "Basic",
        "Basic !!!",
        "Basic \xff",
        basic(TOKEN, ""),
        basic("", TOKEN + "x"),
        "Basic " + base64.b64encode(TOKEN.encode()).decode(),
        "Bearer " + "x" * 4_000,
    ],
)
async def test_what_is_not_the_token_does_not_help(shown: str) -> None:
    with client(TOKEN) as site:
        async with site:
            assert (await site.get("/status.json", headers={"Authorization": shown})).status == 401


@pytest.mark.parametrize(
    "shown", [f"Bearer {TOKEN}", f"bearer  {TOKEN} ", basic("", TOKEN), basic("anyone", TOKEN), basic("ü", TOKEN)]
)
async def test_the_token_helps_in_every_form_that_clients_have(shown: str) -> None:
    with client(TOKEN) as site:
        async with site:
            for path in ("/", "/metrics", "/status.json"):
                assert (await site.get(path, headers={"Authorization": shown})).status == 200
            assert (await site.get("/nothing", headers={"Authorization": shown})).status == 404


async def test_a_page_of_another_site_cannot_read_ours_through_a_name_of_its_own() -> None:
    with client(None) as site:
        async with site:
            for host in ("evil.example", "evil.example:8066", "127.0.0.1.evil.example", "10.0.0.7", "[::2]", "[", ""):
                answer = await site.get("/status.json", headers={"Host": host})
                assert answer.status == 421, host
                assert "shop" not in await answer.text()
            for host in ("localhost", "LocalHost.:8066", "127.0.0.1:1", "127.9.9.9", "[::1]:8066", "my.localhost"):
                assert (await site.get("/status.json", headers={"Host": host})).status == 200, host
    with client(None, host="this-machine") as site:
        async with site:
            assert (await site.get("/", headers={"Host": "this-machine:8066"})).status == 200
    with client(TOKEN, host="0.0.0.0") as site:
        async with site:
            headers = {"Host": "metrics.example", "Authorization": f"Bearer {TOKEN}"}
            assert (await site.get("/metrics", headers=headers)).status == 200


def test_beyond_loopback_a_token_is_needed_and_it_must_be_one() -> None:
    for local in (["127.0.0.1"], ["127.0.0.1", "::1"], ["127.8.8.8"]):
        check_token("localhost", local, None)
    for beyond in (["0.0.0.0"], ["::"], ["127.0.0.1", "192.0.2.7"], ["fe80::1%eth0"], ["::ffff:10.0.0.1"]):
        with pytest.raises(StreammlError, match=r"--web-host x .*STREAMML_WEB_TOKEN.*or leave --web-host out"):
            check_token("x", beyond, None)
        check_token("x", beyond, TOKEN)
    for bad in ("short", "with space in the middle", "tab\tin-the-middle-of-it", "not-ascii-é-not-ascii"):
        with pytest.raises(StreammlError, match="STREAMML_WEB_TOKEN cannot be used") as refused:
            check_token("127.0.0.1", ["127.0.0.1"], bad)
        assert bad not in str(refused.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_a_token_no_worker_starts_beyond_loopback(cli: Cli, declare: Declare, host: str) -> None:
    shop = declare()
    line = cli.error_of(cli.run("run", shop, "--web-host", host, "--web-port", "0"))
    assert "STREAMML_WEB_TOKEN" in line
    cli.env = {"STREAMML_WEB_TOKEN": "too-short"}
    line = cli.error_of(cli.run("run", shop, "--web-host", host, "--web-port", "0"))
    assert "cannot be used" in line
    assert "too-short" not in line


def ask(url: str, shown: str = "") -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers={"Authorization": shown} if shown else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


@contextmanager
def worker(kafka: str, folder: Path, name: str, env: Mapping[str, str], *more: str) -> Iterator[Process]:
    file = topology_file(folder, name)
    arguments = ("run", str(file), "--bootstrap", kafka, "--web-port", "0", "--log-format", "text", "--apply", *more)
    with running("-m", "streamml", *arguments, env=env) as process:
        yield process


@pytest.mark.kafka
def test_a_worker_beyond_loopback_asks_for_its_token(kafka: str, app_name: str, tmp_path: Path) -> None:
    with worker(kafka, tmp_path, app_name, {"STREAMML_WEB_TOKEN": TOKEN}, "--web-host", "0.0.0.0") as process:
        port = process.line("status on ").rpartition(":")[2].rstrip("/")
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: ask(f"{url}/health"), lambda answer: answer[0] == 200)
        eventually(lambda: ask(f"{url}/ready", f"Bearer {TOKEN}"), lambda answer: answer[0] == 200)
        assert [ask(f"{url}{path}")[0] for path in ("/", "/ready", "/metrics", "/status.json")] == [401] * 4
        assert b"streamml_lag_records" in ask(f"{url}/metrics", basic("prometheus", TOKEN))[1]
        assert json.loads(ask(f"{url}/status.json", f"Bearer {TOKEN}")[1])["app"] == app_name
        assert process.end(signal.SIGTERM) == 0
    assert TOKEN not in "\n".join(process.lines)
