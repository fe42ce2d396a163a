"""What a worker answers over HTTP, asked by a client."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer
from support.tiny import tiny
from support.toy_planes import ToyPlane, alert, decision, metric, sources_of

from streamml.agents.agent import Reading
from streamml.errors import StreammlError
from streamml.runtime.connection import Connection
from streamml.runtime.faust_app import App, WebServer
from streamml.runtime.monitoring import Sources
from streamml.runtime.web import FIRST_PORT, add_routes, free_port, listen, serve_on


class Site:
    """A worker's pages over toy planes."""

    def __init__(self) -> None:
        self.score = ToyPlane("score", 2, [Reading("quarantined_total", (("rule", "range"),), 2)])
        self.match = ToyPlane("match", 1, [Reading("pending", (), 5)])
        self.sources: Sources = sources_of(tiny("shop"), self.score, self.match)
        self.failure: str | None = None
        app = web.Application()
        add_routes(app.router, self.sources, lambda: self.failure)
        self.client = TestClient(TestServer(app))


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    async with site.client:
        yield site


async def test_ready_only_once_every_unit_runs(site: Site) -> None:
    site.score.settle()
    answer = await site.client.get("/ready")
    assert answer.status == 503
    assert await answer.json() == {"ready": False, "missing": ["match: has not joined its group"]}
    site.match.settle()
    answer = await site.client.get("/ready")
    assert (answer.status, await answer.json()) == (200, {"ready": True, "missing": []})


async def test_alive_until_a_part_has_failed(site: Site) -> None:
    answer = await site.client.get("/health")
    assert (answer.status, await answer.json()) == (200, {"status": "alive"})
    site.failure = "match unit 3: the broker refuses"
    for path in ("/health", "/ready"):
        answer = await site.client.get(path)
        assert answer.status == 503
        assert site.failure in await answer.text()


async def test_metrics_are_in_the_format_that_is_asked_for(site: Site) -> None:
    plain = await site.client.get("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain")
    text = await plain.text()
    assert 'streamml_quarantined_total{rule="range"' not in text
    site.score.settle()
    text = await (await site.client.get("/metrics")).text()
    assert 'streamml_quarantined_total{rule="range",task="score",unit="0"} 2.0' in text
    assert "process_cpu_seconds_total" in text
    open_metrics = await site.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert open_metrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert (await open_metrics.text()).endswith("# EOF\n")


async def test_the_status_holds_what_a_person_asks_for(site: Site) -> None:
    site.score.settle()
    site.match.settle()
    board = site.sources.board
    board.metric(metric("lr", 3, 0.75))
    board.metric(metric("served", 3, float("nan")))
    board.alert(alert("a", "opened"))
    board.control(decision("lr"))
    status = await (await site.client.get("/status.json")).json()
    assert (status["app"], status["ready"], status["champion"], status["metric"]) == ("shop", True, "lr", "accuracy")
    first = status["models"][0]
    assert (first["name"], first["champion"], first["position"], first["staleness"]) == ("lr", True, 100, 7)
    assert first["metrics"] == {"accuracy": 0.75}
    assert first["baselines"] == {"no_change": {"accuracy": 0.5}}
    assert status["served"]["metrics"] == {"accuracy": None}
    assert (status["pending"], status["quarantine"]) == (5, {"range": 4})
    assert status["alerts"][0]["detector"] == "error"
    assert status["decisions"][0]["model"] == "lr"
    assert [(task["name"], task["states"], task["lag"]) for task in status["tasks"]] == [
        ("score", {"running": 2}, 7),
        ("match", {"running": 1}, 3),
    ]


async def test_the_page_needs_nothing_from_elsewhere(site: Site) -> None:
    answer = await site.client.get("/")
    text = await answer.text()
    assert answer.content_type == "text/html"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?\w+:""", text)
    assert "innerHTML" not in text


async def test_nothing_can_be_changed_over_http(site: Site) -> None:
    assert (await site.client.post("/status.json")).status == 405


def test_a_port_in_use_is_one_line_and_zero_finds_another() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StreammlError, match=rf"cannot listen on 127\.0\.0\.1:{port} .*--web-port"):
            free_port("127.0.0.1", port)
    found = free_port("127.0.0.1", 0)
    assert found == FIRST_PORT or 20_000 <= found < 32_768
    with pytest.raises(StreammlError, match="--web-port"):
        free_port("192.0.2.1", 0)


def test_a_port_is_ours_from_the_moment_it_is_chosen() -> None:
    with listen("127.0.0.1", 0) as first, listen("127.0.0.1", 0) as second:
        assert first.port != second.port
        with pytest.raises(StreammlError, match=rf"cannot listen on 127\.0\.0\.1:{first.port} "):
            listen("127.0.0.1", first.port)
        port = first.port
    with listen("127.0.0.1", port) as again:
        assert again.port == port


async def test_faust_s_server_answers_on_the_sockets_that_are_held(tmp_path: Path) -> None:
    with listen("localhost", 0) as listener:
        app = App("shop", Connection("127.0.0.1:9"), "localhost", listener.port, tmp_path)
        server = cast(WebServer, app.web)
        server.web_app.router.add_get("/health", _alive)
        serve_on(server, listener)
        await server.start_server()
        async with ClientSession() as client:
            for held in listener.sockets:
                host = held.getsockname()[0]
                async with client.get(
                    f"http://{f'[{host}]' if ':' in host else host}:{listener.port}/health"
                ) as answer:
                    assert await answer.text() == "alive"
        await server.stop_server()


async def _alive(request: web.Request) -> web.Response:
    return web.Response(text="alive")
