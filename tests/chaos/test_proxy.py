"""The proxy as a client sees it: bytes pass whole, wait while the line is cut, and take longer while it is delayed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from support.proxy import HOST, Proxy


class Echo:
    """A server that sends back what it gets."""

    def __init__(self) -> None:
        self._socket = socket.create_server((HOST, 0))
        self.port = int(self._socket.getsockname()[1])
        self.accepted = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        with link:
            while piece := link.recv(1 << 16):
                link.sendall(piece)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    made = Proxy("line", echo.port)
    yield made
    made.close()


def connect(proxy: Proxy) -> socket.socket:
    link = socket.create_connection((HOST, proxy.port), 10)
    link.settimeout(10)
    return link


def receive(link: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = link.recv(1 << 16)
        assert piece, f"closed after {len(found)} of {size} bytes"
        found += piece
    return found


def test_megabytes_pass_whole_and_in_order(proxy: Proxy) -> None:
    sent = bytes(range(256)) * 40_000
    with connect(proxy) as link:
        threading.Thread(target=link.sendall, args=(sent,)).start()
        assert receive(link, len(sent)) == sent
    assert proxy.passed == 2 * len(sent)


def test_a_cut_line_is_silent_and_loses_nothing(proxy: Proxy) -> None:
    with connect(proxy) as link:
        link.sendall(b"before")
        assert receive(link, 6) == b"before"
        proxy.cut()
        link.sendall(b"meanwhile")
        link.settimeout(0.3)
        with pytest.raises(TimeoutError):
            link.recv(1)
        assert not proxy.whole
        link.settimeout(10)
        proxy.mend()
        assert receive(link, 9) == b"meanwhile"
        assert proxy.whole


def test_a_new_connection_waits_while_the_line_is_cut(proxy: Proxy, echo: Echo) -> None:
    proxy.cut()
    with connect(proxy) as link:
        link.sendall(b"hello")
        link.settimeout(0.3)
        with pytest.raises(TimeoutError):
            link.recv(1)
        assert echo.accepted == 0
        link.settimeout(10)
        proxy.mend()
        assert receive(link, 5) == b"hello"


def test_a_delay_is_felt_in_both_directions(proxy: Proxy) -> None:
    with connect(proxy) as link:
        proxy.delay(0.15)
        began = time.monotonic()
        link.sendall(b"ping")
        assert receive(link, 4) == b"ping"
        assert time.monotonic() - began >= 0.3


def test_a_reset_closes_what_is_open_and_takes_new_ones(proxy: Proxy) -> None:
    with connect(proxy) as link:
        link.sendall(b"x")
        assert receive(link, 1) == b"x"
        proxy.reset()
        assert link.recv(1) == b""
    with connect(proxy) as link:
        link.sendall(b"y")
        assert receive(link, 1) == b"y"


def test_a_target_that_is_away_is_a_closed_connection(echo: Echo) -> None:
    with socket.create_server((HOST, 0)) as unused:
        port = int(unused.getsockname()[1])
    proxy = Proxy("nowhere", port)
    with connect(proxy) as link:
        assert link.recv(1) == b""
    proxy.target = echo.port
    with connect(proxy) as link:
        link.sendall(b"z")
        assert receive(link, 1) == b"z"
    proxy.close()
    proxy.close()
