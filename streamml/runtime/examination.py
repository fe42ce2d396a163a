"""Looking a cluster over before it is trusted with models. Law: nothing is written; a bad finding says what to do."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.admin import ApiVersionRequest

from streamml.errors import BrokerError, StreammlError
from streamml.runtime.admin import TopicChange
from streamml.runtime.applying import Plan, open_store, plan
from streamml.runtime.clients import Tuning
from streamml.runtime.connection import Connection, unreachable, wait_for_broker
from streamml.topology import Topology

_FETCH, _DESCRIBE_TRANSACTIONS = 1, 65
"""Keys of requests of the Kafka protocol."""
_PLAIN = {"security_protocol": "PLAINTEXT"}
_WEEK_MINUTES = 7 * 24 * 60
_KEPT = ("examples", "models", "control", "schemas")
"""Roles whose loss loses models, beside the changelogs."""

_ANY = sys.maxsize
_TUNING = Tuning()
_BOUNDS = {
    "transaction.max.timeout.ms": (_TUNING.transaction_timeout_ms, _ANY),
    "group.min.session.timeout.ms": (0, _TUNING.session_timeout_ms),
    "group.max.session.timeout.ms": (_TUNING.session_timeout_ms, _ANY),
    "message.max.bytes": (_TUNING.batch_bytes, _ANY),
}
"""Settings of a broker, and the least and the most with which the data plane works."""


class Finding(NamedTuple):
    """One line of an examination; `fix` says what to do where the verdict is not `ok`."""

    verdict: Literal["ok", "warn", "fail"]
    subject: str
    text: str
    fix: str = ""


async def examine_broker(connection: Connection, wait: float = 0.0) -> list[Finding]:
    """Does a broker answer, with the settings that exactly-once and long-lived offsets need? `wait` is in seconds."""
    try:
        await wait_for_broker(connection, wait)
        async with _admin(connection) as admin:
            cluster = await admin.describe_cluster()
            node = cluster["brokers"][0]["node_id"]
            settings = await _broker_settings(admin, node)
        release = await _release(connection)
    except StreammlError as error:
        return [Finding("fail", "broker", *split(error))]
    count = len(cluster["brokers"])
    return [
        Finding(
            "ok",
            "broker",
            f"{release}, {count} broker{'s' * (count != 1)} at {connection.bootstrap}, cluster {cluster['cluster_id']}",
        ),
        *judge(settings),
    ]


async def examine_topology(topology: Topology, connection: Connection, registry: str | None) -> list[Finding]:
    """Are the topics and schemas as they are declared?"""
    try:
        store = open_store(topology.name, connection, registry)
        try:
            found = await plan(topology, connection, store)
        finally:
            await store.close()
    except StreammlError as error:
        return [Finding("fail", "topology", *split(error))]
    return [*_topics(found), *_schemas(found)]


def _topics(found: Plan) -> Iterator[Finding]:
    missing = [change.spec.name for change in found.creates]
    if missing:
        yield Finding("fail", "topics", f"missing: {', '.join(missing)}", "run `streamml apply`")
    elif not found.differs:
        yield Finding("ok", "topics", "all there, with the settings that are declared")
    for change in found.differs:
        yield _difference(change)


def _difference(change: TopicChange) -> Finding:
    name, role = change.spec.name, change.spec.name.rpartition(".")[2]
    text = f"{name}: {change.setting} is {change.found}, declared {change.wanted}"
    if change.kind == "partitions":
        verdict: Literal["warn", "fail"] = "fail" if change.spec.ours else "warn"
        return Finding(verdict, "topics", text, f"declare partitions={change.found}, or give the topology another name")
    grave = role in _KEPT or role.endswith("-changelog")
    setting = f"{change.setting}={change.wanted}"
    fix = f"kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config {setting}"
    return Finding("fail" if grave else "warn", "topics", text, fix)


def _schemas(found: Plan) -> Iterator[Finding]:
    refused = [change for change in found.schemas if change.refused is not None]
    yield from (Finding("fail", "schemas", *split(change.refused)) for change in refused)
    if found.registers:
        names = ", ".join(change.subject for change in found.registers)
        yield Finding("fail", "schemas", f"not registered as declared: {names}", "run `streamml apply`")
    elif not refused:
        yield Finding("ok", "schemas", f"all {len(found.schemas)} registered as declared")


def judge(settings: Mapping[str, str]) -> Iterator[Finding]:
    """What to say of a broker's settings, by their names in Kafka; those that are not known are not judged."""
    numbers = {name: int(value) for name, value in settings.items() if value.lstrip("-").isdigit()}
    retention = numbers.pop("offsets.retention.minutes", None)
    if retention is not None:
        text = f"offsets.retention.minutes is {retention} ({retention / 1440:.1f} days)"
        good = retention >= _WEEK_MINUTES
        fix = "" if good else "set it to 10080 or more: a worker that was down for longer reads every event again"
        yield Finding("ok" if good else "warn", "broker", text, fix)
    for name, value in numbers.items():
        least, most = _BOUNDS[name]
        if not least <= value <= most:
            bound = f"{least} or more" if value < least else f"{most} or less"
            yield Finding("fail", "broker", f"{name} is {value}", f"set it to {bound}, as workers need it")


async def _release(connection: Connection) -> str:
    """Which Kafka answers, as far as it tells: it names no version, but what it understands."""
    host, port, _ = collect_hosts(connection.bootstrap)[0]
    try:
        link = await create_conn(host, port, client_id="streamml-doctor", **{**_PLAIN, **connection.security})
        try:
            answer = await link.send(ApiVersionRequest())
        finally:
            link.close()
    except (OSError, TimeoutError, KafkaError):
        return "Kafka"
    versions = {key: (least, most) for key, least, most in answer.api_versions}
    if versions.get(_FETCH, (0, 0))[0] >= 4:  # KIP-896 took the older ones away
        return "Kafka 4.0 or later"
    return "Kafka 3" if _DESCRIBE_TRANSACTIONS in versions else "Kafka 2 or older"


async def _broker_settings(admin: Any, node: int) -> dict[str, str]:
    resource = ConfigResource(
        ConfigResourceType.BROKER, str(node), configs=dict.fromkeys(("offsets.retention.minutes", *_BOUNDS), "")
    )
    found: dict[str, str] = {}
    for response in await admin.describe_configs([resource]):
        for code, _, _, _, entries in response.resources:
            # Without the right to see them the settings stay unknown, which is no fault of the cluster.
            if code == 0:
                found |= {entry[0]: entry[1] or "" for entry in entries}
    return found


def split(error: object) -> tuple[str, str]:
    """Our errors are `fact: what to do`; the last colon or semicolon parts the two."""
    text = " ".join(str(error).split())
    at = max(text.rfind(": "), text.rfind("; "))
    return (text[:at], text[at + 2 :]) if at > 0 else (text, "")


@asynccontextmanager
async def _admin(connection: Connection) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**connection.client(), client_id="streamml-doctor", request_timeout_ms=15_000)
    try:
        await admin.start()
        yield admin
    except KafkaConnectionError as error:
        raise unreachable(connection, error) from error
    except (TimeoutError, KafkaError) as error:
        raise BrokerError(
            f"the broker at {connection.bootstrap} refuses to be looked at ({error!r}): check this user's permissions"
        ) from error
    finally:
        await admin.close()
