"""Reaching a broker, or saying in one line why not."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator

import pytest

from streamml.errors import BrokerError
from streamml.runtime.connection import Connection, wait_for_broker


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which nothing listens, kept for the test."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("address", ["", "kafka", "kafka:", ":9092", "kafka:http", "kafka:70000", "a:1,b"])
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(BrokerError, match=r"host:port"):
        Connection(address)


async def test_no_broker_is_one_line_with_the_way_out(closed_port: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(BrokerError) as caught:
        await wait_for_broker(Connection(f"127.0.0.1:{closed_port}"), timeout=0.5)
    line = str(caught.value)
    assert line.startswith(f"no Kafka broker answers at 127.0.0.1:{closed_port} (waited 0.5 s;")
    assert "streamml broker up" in line
    assert "\n" not in line
    assert len(caplog.records) == 1


@pytest.mark.kafka
async def test_it_returns_once_a_broker_answers(kafka: str, closed_port: int) -> None:
    await wait_for_broker(Connection(f"127.0.0.1:{closed_port},{kafka}"), timeout=5.0)


async def test_something_that_is_no_broker_does_not_hang() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BrokerError, match="no Kafka broker answers"):
            await wait_for_broker(Connection(f"127.0.0.1:{port}"), timeout=0.3)
