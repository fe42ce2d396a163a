"""How to reach a broker: addresses and security. Law: constructing it opens no connection; no secret is ever shown."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from streamml.errors import BrokerError
from streamml.runtime.properties import security_of

log = logging.getLogger(__name__)

_REFUSED = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    ssl.SSLError,
)
"""Answers that waiting does not change."""

_PROBE_MS = 5_000


@dataclass(frozen=True)
class Connection:
    """A cluster's bootstrap addresses (`host:port,host:port`) and its security settings, as aiokafka's arguments."""

    bootstrap: str
    security: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    def __post_init__(self) -> None:
        if not self.bootstrap.strip():
            raise BrokerError("no bootstrap address is given: pass host:port with --bootstrap or STREAMML_BOOTSTRAP")
        for address in self.bootstrap.split(","):
            host, colon, port = address.strip().rpartition(":")
            if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
                raise BrokerError(f"bootstrap address {address.strip()!r} is not host:port: write it as 127.0.0.1:9092")

    @classmethod
    def from_options(cls, bootstrap: str, properties: Mapping[str, str] | None = None) -> Connection:
        """From client properties under librdkafka's or Java's names (`security.protocol`, `sasl.mechanism`,
        `sasl.username`, `sasl.password`, `sasl.jaas.config`, `ssl.ca.location`, …).

        Raises `BrokerError` for a property that is unknown or cannot be used; values are never quoted in it.
        """
        return cls(bootstrap, security_of(properties or {}))

    def client(self) -> dict[str, Any]:
        """The arguments that every aiokafka client of this connection takes."""
        return {"bootstrap_servers": self.bootstrap, **self.security}


def unreachable(connection: Connection, reason: object) -> BrokerError:
    """The one line that says that no broker answers, and what to do."""
    return BrokerError(
        f"no Kafka broker answers at {connection.bootstrap} ({reason}): start one with `streamml broker up`, "
        "or name yours with --bootstrap or STREAMML_BOOTSTRAP"
    )


async def wait_for_broker(connection: Connection, timeout: float = 30.0) -> None:
    """Return as soon as a broker answers; `timeout` is in seconds.

    Logs one line if there is something to wait for. Raises `BrokerError` when the time is over, and at once when a
    broker answers but refuses the credentials or the certificate.
    """
    deadline = time.monotonic() + timeout
    told = False
    while True:
        reason = await _probe(connection)
        if reason is None:
            return
        if time.monotonic() >= deadline:
            raise unreachable(connection, f"waited {timeout:g} s; {reason}")
        if not told:
            log.warning("waiting up to %g s for a Kafka broker at %s (%s)", timeout, connection.bootstrap, reason)
            told = True
        await asyncio.sleep(0.2)


async def _probe(connection: Connection) -> str | None:
    """Why no broker answers, or None if one does."""
    reason = "no address"
    for host, port, _ in collect_hosts(connection.bootstrap):
        try:
            link = await create_conn(
                host, port, client_id="streamml-probe", request_timeout_ms=_PROBE_MS, **_link(connection)
            )
        except _REFUSED as error:
            raise BrokerError(
                f"the broker at {host}:{port} refuses this client ({_why(error)}): check security.protocol, "
                "the SASL user and password, and the certificate authority"
            ) from error
        except (TimeoutError, OSError, KafkaError) as error:
            reason = _why(error)
        else:
            link.close()
            return None
    return reason


def _link(connection: Connection) -> dict[str, Any]:
    """A single connection needs its protocol spelled out; a client has it as a default."""
    return {"security_protocol": "PLAINTEXT", **connection.security}


def _why(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
