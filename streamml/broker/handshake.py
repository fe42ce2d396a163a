"""Does a Kafka broker answer on this port, and of which cluster? Law: ready means that a client's requests get answers.

Two requests of the Kafka protocol, written by hand because each is a few bytes: ApiVersions v0 (what every client sends
first) and Metadata v2 (which carries the cluster id, KIP-78, and lists the brokers that the controller has let in).
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import NamedTuple

_API_VERSIONS, _METADATA = 18, 3
_MAX_ANSWER = 1 << 20


class Serving(NamedTuple):
    """What a broker says of its cluster: the id, and the nodes that the controller has let in."""

    cluster: str | None
    nodes: frozenset[int]


def serving_at(host: str, port: int, timeout: float = 1.0) -> Serving | None:
    """Ask who serves clients on this port; None if nobody does (yet). `timeout` is in seconds."""
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            connection.settimeout(timeout)
            versions = _ask(connection, _API_VERSIONS, 0, b"")
            if struct.unpack_from(">h", versions)[0] != 0:
                return None
            found = _brokers(_ask(connection, _METADATA, 2, struct.pack(">i", 0)))
            return found if found.nodes else None
    except (OSError, ValueError, struct.error):
        return None


def cluster_at(host: str, port: int, timeout: float = 1.0) -> str | None:
    """The id of the cluster that serves clients on this port, or None if none does (yet). `timeout` is in seconds."""
    found = serving_at(host, port, timeout)
    return found.cluster if found else None


def obstacle(host: str, port: int) -> str | None:
    """What keeps a server from listening on this port, in words, or None if nothing does."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return "is in use"
    except OSError:
        pass
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the broker will do: the last connections of a broker that just ended (TIME_WAIT) hold nothing up.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
    return None


def _ask(connection: socket.socket, api: int, version: int, body: bytes) -> bytes:
    request = struct.pack(">hhih", api, version, 1, -1) + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    size = struct.unpack(">i", _read(connection, 4))[0]
    if not 4 <= size <= _MAX_ANSWER:
        raise ValueError("no Kafka answer")
    answer = _read(connection, size)
    if answer[:4] != struct.pack(">i", 1):
        raise ValueError("an answer to another request")
    return answer[4:]


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ValueError("the connection was closed")
        data += part
    return data


def _brokers(answer: bytes) -> Serving:
    (count,) = struct.unpack_from(">i", answer)
    at, nodes = 4, []
    for _ in range(count):
        nodes.append(struct.unpack_from(">i", answer, at)[0])
        _, at = _string(answer, at + 4)  # host
        at += 4  # port
        _, at = _string(answer, at)  # rack
    cluster, _ = _string(answer, at)
    return Serving(cluster, frozenset(nodes))


def _string(answer: bytes, at: int) -> tuple[str | None, int]:
    (size,) = struct.unpack_from(">h", answer, at)
    at += 2
    if size < 0:
        return None, at
    return answer[at : at + size].decode(), at + size
