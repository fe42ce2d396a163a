"""The topics of a topology on a broker: plan, then create. Law: what exists is never changed, a difference is shown.

Every function opens and closes its own connection, and may be called again with the same outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from streamml.errors import BrokerError
from streamml.runtime.clients import hidden_topics
from streamml.runtime.connection import Connection, unreachable

Kind = Literal["create", "config", "partitions"]

_APPEAR_S = 15.0


@dataclass(frozen=True)
class TopicSpec:
    """A topic as it is wanted. `config` holds Kafka's topic settings, `ours` is false for a topic of outside writers.

    `replication` -1 leaves it to the broker's default.
    """

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict, hash=False)
    ours: bool = True
    replication: int = -1


@dataclass(frozen=True)
class TopicChange:
    """One difference between what is wanted and what the broker has; only `create` is ever acted on."""

    kind: Kind
    spec: TopicSpec
    setting: str = ""
    found: str = ""
    wanted: str = ""

    def __str__(self) -> str:
        if self.kind == "create":
            config = "".join(f", {name}={value}" for name, value in sorted(self.spec.config.items()))
            return f"+ {self.spec.name}: {self.spec.partitions} partition{'s' * (self.spec.partitions != 1)}{config}"
        return f"~ {self.spec.name}: {self.setting} is {self.found}, wanted {self.wanted}"


async def plan_topics(connection: Connection, wanted: Sequence[TopicSpec]) -> list[TopicChange]:
    """What differs, in the order of `wanted`; empty when the broker has all of it. Raises `BrokerError`."""
    async with _admin(connection) as admin:
        return await _plan(admin, wanted)


async def ensure_topics(connection: Connection, wanted: Sequence[TopicSpec]) -> list[TopicChange]:
    """Create what is missing and wait until it can be used; returns the plan as it was before.

    Raises `BrokerError` if a topic of ours exists with another number of partitions: keys would no longer meet.
    """
    async with _admin(connection) as admin:
        plan = await _plan(admin, wanted)
        for change in plan:
            if change.kind == "partitions" and change.spec.ours:
                raise BrokerError(
                    f"topic {change.spec.name} has {change.found} partitions but {change.wanted} are declared: "
                    f"declare partitions={change.found}, or give the topology another name"
                )
        missing = [change.spec for change in plan if change.kind == "create"]
        if missing:
            await _create(admin, missing)
            await _await_leaders(admin, missing)
        return plan


async def require_topics(connection: Connection, names: Iterable[str]) -> None:
    """Raise `BrokerError` naming the topics that do not exist: asking a broker for one by name may create it."""
    async with _admin(connection) as admin:
        missing = sorted(set(names) - set(await admin.list_topics()))
        await _refuse_hidden(admin, missing)
    if missing:
        raise BrokerError(
            f"topics missing on {connection.bootstrap}: {', '.join(missing)}: create them with `streamml apply`"
        )


@asynccontextmanager
async def _admin(connection: Connection) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**connection.client(), client_id="streamml-admin", request_timeout_ms=15_000)
    try:
        await admin.start()
        yield admin
    except KafkaConnectionError as error:
        raise unreachable(connection, error) from error
    except (TimeoutError, KafkaError) as error:
        raise BrokerError(
            f"the broker at {connection.bootstrap} refuses an administrative request "
            f"({type(error).__name__}: {error}): "
            "check the permissions of this user"
        ) from error
    finally:
        await admin.close()


async def _refuse_hidden(admin: Any, missing: Sequence[str]) -> None:
    """A topic that a user may not see is not listed, as if it did not exist."""
    hidden = await hidden_topics(admin, missing) if missing else []
    if hidden:
        shown = f"topic {hidden[0]}" + (f" and {len(hidden) - 1} more" if hidden[1:] else "")
        raise BrokerError(f"{shown}: this user may not see it, if it exists: grant what `streamml acl` lists")


async def _plan(admin: Any, wanted: Sequence[TopicSpec]) -> list[TopicChange]:
    names = set(await admin.list_topics())
    await _refuse_hidden(admin, [spec.name for spec in wanted if spec.name not in names])
    there = [spec for spec in wanted if spec.name in names]
    counts = (
        {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics([s.name for s in there])}
        if there
        else {}
    )
    configs = await _configs(admin, there)
    changes: list[TopicChange] = []
    for spec in wanted:
        if spec.name not in names:
            changes.append(TopicChange("create", spec))
            continue
        if counts[spec.name] != spec.partitions:
            changes.append(TopicChange("partitions", spec, "partitions", str(counts[spec.name]), str(spec.partitions)))
        for name, value in sorted(spec.config.items()):
            found = configs[spec.name].get(name, "unset")
            if found != value:
                changes.append(TopicChange("config", spec, name, found, value))
    return changes


async def _configs(admin: Any, specs: Sequence[TopicSpec]) -> dict[str, dict[str, str]]:
    asked = [spec for spec in specs if spec.config]
    if not asked:
        return {spec.name: {} for spec in specs}
    resources = [ConfigResource(ConfigResourceType.TOPIC, spec.name, configs=dict(spec.config)) for spec in asked]
    found: dict[str, dict[str, str]] = {spec.name: {} for spec in specs}
    for response in await admin.describe_configs(resources):
        for code, message, _, name, entries in response.resources:
            _raise_for(code, f"settings of topic {name}", message)
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


async def _create(admin: Any, specs: Sequence[TopicSpec]) -> None:
    new = [
        # An empty assignment lets aiokafka pass -1, the broker's default replication.
        NewTopic(spec.name, spec.partitions, spec.replication, {} if spec.replication < 0 else None, dict(spec.config))
        for spec in specs
    ]
    response = await admin.create_topics(new)
    for name, code, *message in response.topic_errors:
        if for_code(code) is not TopicAlreadyExistsError:
            _raise_for(code, f"topic {name}", message[0] if message else None)


def _raise_for(code: int, what: str, message: str | None) -> None:
    error = for_code(code)
    if error is NoError:
        return
    if error in (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
        raise BrokerError(f"{what}: this user lacks a permission: grant what `streamml acl` lists")
    raise BrokerError(
        f"{what}: the broker refuses ({error.__name__}: {message or 'no reason given'}): correct the declaration"
    )


async def _await_leaders(admin: Any, specs: Sequence[TopicSpec]) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _APPEAR_S
    names = [spec.name for spec in specs]
    while True:
        topics = await admin.describe_topics(names)
        if all(
            topic["error_code"] == 0 and topic["partitions"] and all(p["leader"] >= 0 for p in topic["partitions"])
            for topic in topics
        ):
            return
        if loop.time() > deadline:
            raise BrokerError(
                f"topics {', '.join(names)} were created but have no leader after {_APPEAR_S:g} s: check the brokers"
            )
        await asyncio.sleep(0.05)
