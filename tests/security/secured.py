"""A Kafka that lets nobody in without a password and nobody do what no ACL allows. Law: nothing of it outlives the run.

Clients come over TLS with SCRAM-SHA-512 (RFC 5802, RFC 7677); the controller takes only the certificate of the broker
itself. The certificates and the passwords are made anew for each run.
"""

from __future__ import annotations

import random
import signal
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import trustme
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from streamml.broker import process
from streamml.broker.artifacts import cache_home, ensure, read_lock
from streamml.broker.embedded import LOCK
from streamml.engine.access import Grant
from streamml.runtime.web import BELOW_EPHEMERAL

HOST = "127.0.0.1"
ADMIN = "admin"
_CLUSTER = "c2VjdXJlZC1icm9rZXItMQ"
_PATIENCE_S = 120.0
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required"

_JVM = (
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dlog4j2.configurationFile=log4j2.properties",
    "-Dlog4j2.disableJmx=true",
)
_LOGGING = """\
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %m (%c{1})%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
"""

_RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}
_PATTERNS = {"literal": ResourcePatternType.LITERAL, "prefixed": ResourcePatternType.PREFIXED}


class Secured:
    """The broker: `bootstrap`, the file of its authority `ca`, and the passwords of its users."""

    def __init__(self, folder: Path, users: Iterable[str]) -> None:
        self.folder = folder.resolve()
        self.port, self._controller = _free_ports(2)
        self.bootstrap = f"{HOST}:{self.port}"
        self.ca = self.folder / "ca.pem"
        self.passwords = {name: token_urlsafe(18) for name in (ADMIN, "broker", *users)}
        self._pid: int | None = None

    def start(self) -> None:
        """Format the storage with the users in it, start, and return once it answers."""
        version, files = read_lock(LOCK)
        jars = ensure(files, cache_home() / f"kafka-{version}")
        (self.folder / "logs").mkdir()
        (self.folder / "log4j2.properties").write_text(_LOGGING)
        self._make_certificates()
        (self.folder / "server.properties").write_text(
            "".join(f"{name}={value}\n" for name, value in self._settings().items())
        )
        format_ = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", "server.properties"]
        for user, password in self.passwords.items():
            format_ += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
        code, said = process.run(self.folder, jars, format_)
        assert code == 0, said
        self._pid = process.start(self.folder, _JVM, jars, ["server.properties"], True)
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self.admin().list_topics(timeout=2)
                return
            except KafkaException:
                said = (self.folder / "logs" / "console.log").read_text()
                assert time.monotonic() < deadline, said
                assert process.serves(self._pid, self.folder), said

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._pid is not None:
            process.end(self._pid, self.folder, signal.SIGKILL, 30.0)

    def client(self, user: str) -> dict[str, Any]:
        """The settings of a client that is not ours."""
        return {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": self.passwords[user],
            "ssl.ca.location": str(self.ca),
            "log_level": 0,
        }

    def properties(self, user: str, **changes: str) -> Path:
        """The file that a person gives to our command line; `changes` have `_` for the dots of a name."""
        settings = {name: str(value) for name, value in self.client(user).items() if "." in name}
        del settings["bootstrap.servers"]
        settings |= {name.replace("_", "."): value for name, value in changes.items()}
        file = self.folder / f"{user}-{len(list(self.folder.glob('*.client')))}.client"
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return file

    @staticmethod
    def another_authority() -> bytes:
        """The certificate of an authority that did not sign the broker's."""
        return bytes(trustme.CA().cert_pem.bytes())

    def admin(self) -> AdminClient:
        """Someone who may do everything."""
        return AdminClient(self.client(ADMIN))

    def grant(self, user: str, grants: Iterable[Grant]) -> None:
        """Let `user` do this too."""
        admin = self.admin()
        for future in admin.create_acls([_binding(user, grant) for grant in grants]).values():
            future.result(30)

    def revoke_all(self) -> None:
        """Nobody but the administrator may do anything any more."""
        admin = self.admin()
        (future,) = admin.delete_acls([_everything()]).values()
        future.result(30)

    def _make_certificates(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        made = authority.issue_cert(HOST, "localhost", common_name="broker")
        # Kafka reads private keys in the form of PKCS #8 alone (KIP-651).
        key = load_pem_private_key(made.private_key_pem.bytes(), None)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with (self.folder / "broker.pem").open("wb") as store:
            store.write(pem)
            for part in made.cert_chain_pems:
                store.write(part.bytes())
        (self.folder / "broker.pem").chmod(0o600)

    def _settings(self) -> Mapping[str, object]:
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "listeners": f"CLIENTS://{HOST}:{self.port},CONTROLLER://{HOST}:{self._controller}",
            "advertised.listeners": f"CLIENTS://{HOST}:{self.port}",
            "listener.security.protocol.map": "CLIENTS:SASL_SSL,CONTROLLER:SSL",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "CLIENTS",
            "controller.quorum.voters": f"1@{HOST}:{self._controller}",
            "listener.name.controller.ssl.client.auth": "required",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": "broker.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": "ca.pem",
            "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            "listener.name.clients.scram-sha-512.sasl.jaas.config": (
                f'{_SCRAM} username="broker" password="{self.passwords["broker"]}";'
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:broker;User:{ADMIN}",
            "allow.everyone.if.no.acl.found": "false",
            "auto.create.topics.enable": "true",
            "log.dirs": "data",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            "log.message.timestamp.after.max.ms": 2**63 - 1,
            "log.retention.ms": -1,
            "offsets.retention.minutes": 100_000,
        }


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in random.SystemRandom().sample(BELOW_EPHEMERAL, 200):
        with socket.socket() as probe:
            if len(found) < count and probe.connect_ex((HOST, port)) != 0:
                found.append(port)
    return found


def _everything() -> AclBindingFilter:
    anything: Any = None
    return AclBindingFilter(
        ResourceType.ANY,
        anything,
        ResourcePatternType.ANY,
        anything,
        anything,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )


def _binding(user: str, grant: Grant) -> AclBinding:
    return AclBinding(
        _RESOURCES[grant.resource],
        grant.name,
        _PATTERNS[grant.pattern],
        f"User:{user}",
        "*",
        _OPERATIONS[grant.operation],
        AclPermissionType.ALLOW,
    )


@contextmanager
def secured(folder: Path, *users: str) -> Iterator[Secured]:
    """A secured broker that does not outlive the block."""
    broker = Secured(folder, users)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
