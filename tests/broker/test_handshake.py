"""Whatever else may listen on a port, it is not taken for a Kafka broker."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streamml.broker.handshake import cluster_at, obstacle


@contextmanager
def server_that_says(answer: bytes) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\x00\x00\x02ab",
        b"\x7f\xff\xff\xff" + b"x" * 100,
        b"\x00\x00\x00\x06\x00\x00\x00\x09\x00\x00",  # the answer to another request
        b"\x00\x00\x00\x06\x00\x00\x00\x01\x00\x23",  # an error
        b"\x00\x00\x00\x06\x00\x00\x00\x01\x00\x00",  # it goes away after the first answer
    ],
)
def test_other_servers_are_no_broker(answer: bytes) -> None:
    with server_that_says(answer) as port:
        assert cluster_at("127.0.0.1", port) is None


def test_a_silent_server_is_not_waited_for_longer_than_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert cluster_at("127.0.0.1", server.getsockname()[1], timeout=0.1) is None


def test_a_port_is_free_or_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert obstacle("127.0.0.1", port) == "is in use"
    assert obstacle("127.0.0.1", port) is None
    with socket.socket() as holder:  # held, though nobody listens
        holder.bind(("127.0.0.1", 0))
        assert obstacle("127.0.0.1", holder.getsockname()[1]) == "is in use"
    assert cluster_at("127.0.0.1", port) is None
