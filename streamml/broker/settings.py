"""How one node of Kafka is told to behave. Law: the files in the broker's directory say it all, the host adds nothing.

The broker runs with its directory as working directory, so that every path in these files is relative: a directory may
be moved, and its name may hold commas, spaces or any letters, which Kafka's own list syntax would misread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

HOST = "127.0.0.1"
CLIENTS = "PLAINTEXT"
"""The listener that every node has, for clients and for the other nodes."""

CONTROLLERS = "CONTROLLER"
_FOREVER = 2**63 - 1
_YEARS_MINUTES = 10 * 365 * 24 * 60
_MAX_MESSAGE = 10 * 1024 * 1024 + 64 * 1024

ALONE = 1
"""The id of a node that is no member of a cluster."""

_JVM = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    # Without these two, Java 24 and later open each run with warnings that would hide the lines that matter.
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-Djava.awt.headless=true",
    "-Dlog4j2.disableJmx=true",
)


@dataclass(frozen=True)
class Door:
    """A listener beside the usual one: where the node listens, and the port that clients are told (a proxy's)."""

    port: int
    advertised: int


@dataclass(frozen=True)
class Node:
    """One node: a broker and a controller in one process. `voters` are the controllers' ports by node, its own too."""

    port: int
    voters: Mapping[int, int]
    id: int = ALONE
    doors: Mapping[str, Door] = field(default_factory=dict)


def jvm(node: Node, logging: str = "log4j2.properties") -> tuple[str, ...]:
    """Java's options for a node: of several on one machine, each has less memory."""
    memory = "-Xmx384m" if len(node.voters) == 1 else "-Xmx256m"
    return ("-Xms64m", memory, f"-Dlog4j2.configurationFile={logging}", *_JVM)


def server_properties(node: Node) -> str:
    """The text of server.properties for a node on the loopback interface, alone or in a cluster."""
    listens = {CLIENTS: node.port, **{name: door.port for name, door in node.doors.items()}}
    told = {CLIENTS: node.port, **{name: door.advertised for name, door in node.doors.items()}}
    return _text(
        {
            "process.roles": "broker,controller",
            "node.id": node.id,
            "listeners": _addresses({**listens, CONTROLLERS: node.voters[node.id]}),
            "advertised.listeners": _addresses(told),
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in (*listens, CONTROLLERS)),
            "inter.broker.listener.name": CLIENTS,
            "controller.listener.names": CONTROLLERS,
            "controller.quorum.voters": ",".join(f"{id}@{HOST}:{port}" for id, port in sorted(node.voters.items())),
            "log.dirs": "data",
            **_replication(len(node.voters)),
            **_LOGS,
            **_CLIENTS,
            **_SMALL_MACHINE,
        }
    )


def controller_properties(node: Node) -> str:
    """The text of a server.properties for the controller of a node alone, which takes its broker for dead at once."""
    return _text(
        {
            "process.roles": "controller",
            "node.id": node.id,
            "listeners": _addresses({CONTROLLERS: node.voters[node.id]}),
            "listener.security.protocol.map": f"{CONTROLLERS}:PLAINTEXT",
            "controller.listener.names": CONTROLLERS,
            "controller.quorum.voters": f"{node.id}@{HOST}:{node.voters[node.id]}",
            "log.dirs": "data",
            "broker.heartbeat.interval.ms": 100,
            "broker.session.timeout.ms": 500,
        }
    )


def ports_in(properties: str, name: str = "listeners") -> dict[str, int]:
    """The ports by listener of `listeners` or `advertised.listeners`, in the text of a server.properties."""
    value = next((line for line in properties.splitlines() if line.startswith(f"{name}=")), "").partition("=")[2]
    found = (address.partition("://") for address in value.split(",") if address)
    return {listener: int(where.rpartition(":")[2]) for listener, _, where in found}


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())


def _replication(nodes: int) -> Mapping[str, object]:
    """With three nodes and more, every record is on three and acknowledged by two: any one may be lost."""
    copies, in_sync = (3, 2) if nodes >= 3 else (1, 1)
    return {
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": 1,
        # A broker that was killed may register again only when its old session is over, and only then are its
        # partitions led by others: by default that takes 9 s. Nobody takes over from a node alone, and to be fenced
        # after a pause of its machine would cost it transactions under way: see `fencing`.
        "broker.heartbeat.interval.ms": 500,
        "broker.session.timeout.ms": 3000 if nodes > 1 else 30_000,
    }


_LOGS: Mapping[str, object] = {
    "auto.create.topics.enable": "false",
    "num.partitions": 1,
    "message.max.bytes": _MAX_MESSAGE,
    "replica.fetch.max.bytes": _MAX_MESSAGE,
    # Records carry event time, which may lie decades back, or ahead (a mistake, to be judged by a rule): the broker
    # deletes none for its age, refuses none for its time, and starts no new segment because event time moved a week.
    "log.retention.ms": -1,
    "log.retention.bytes": -1,
    "log.roll.ms": _FOREVER,
    "log.message.timestamp.before.max.ms": _FOREVER,
    "log.message.timestamp.after.max.ms": _FOREVER,
    "log.segment.bytes": 128 * 1024 * 1024,
    "log.index.size.max.bytes": 1024 * 1024,
    "offsets.topic.segment.bytes": 16 * 1024 * 1024,
    "transaction.state.log.segment.bytes": 16 * 1024 * 1024,
    "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    "log.cleaner.threads": 1,
    "metadata.log.max.snapshot.interval.ms": 3600000,
}

_CLIENTS: Mapping[str, object] = {
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000,
    "offsets.retention.minutes": _YEARS_MINUTES,
    "transactional.id.expiration.ms": 2**31 - 1,
    # A transaction whose owner died hides the records behind it until it is aborted: look every second, not every ten.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
}

_SMALL_MACHINE: Mapping[str, object] = {
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    "num.recovery.threads.per.data.dir": 2,
    "socket.listen.backlog.size": 128,
}


def logging_properties(file: str = "server.log") -> str:
    """The text of log4j2.properties: logs/`file`, at most 4 files of 5 MB."""
    return _text(
        {
            "appender.file.type": "RollingFile",
            "appender.file.name": "file",
            "appender.file.fileName": f"logs/{file}",
            "appender.file.filePattern": f"logs/{file}.%i",
            "appender.file.layout.type": "PatternLayout",
            "appender.file.layout.pattern": "%d{ISO8601} %p %m (%c{1})%n",
            "appender.file.policies.type": "Policies",
            "appender.file.policies.size.type": "SizeBasedTriggeringPolicy",
            "appender.file.policies.size.size": "5MB",
            "appender.file.strategy.type": "DefaultRolloverStrategy",
            "appender.file.strategy.max": 3,
            "rootLogger.level": "info",
            "rootLogger.appenderRef.file.ref": "file",
            # One line per partition, index and snapshot: they would only push the useful lines out of the files.
            **_quiet("org.apache.kafka.storage.internals.log.UnifiedLog", "warn"),
            **_quiet("org.apache.kafka.storage.internals.log.ProducerStateManager", "warn"),
            **_quiet("org.apache.kafka.clients.consumer", "warn"),
            **_quiet("kafka.request.logger", "warn"),
            **_quiet("state.change.logger", "warn"),
        }
    )


def _quiet(name: str, level: str) -> dict[str, object]:
    key = name.rsplit(".", 1)[-1].lower() + str(len(name))
    return {f"logger.{key}.name": name, f"logger.{key}.level": level}


def _text(settings: Mapping[str, object]) -> str:
    return "".join(f"{name}={value}\n" for name, value in settings.items())
