"""The options that several commands share, and what they stand for. Law: one name and one default everywhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from streamml.errors import BrokerError, DeclarationError

if TYPE_CHECKING:
    from streamml.runtime.connection import Connection
    from streamml.topology import Topology

DEFAULT_BOOTSTRAP = "localhost:9092"

TopologyPath: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="TOPOLOGY", help="A Python file that declares a topology, or the name of a shipped one."),
]
Bootstrap: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        envvar="STREAMML_BOOTSTRAP",
        metavar="HOST:PORT,…",
        help="The Kafka brokers. Without it: this folder's embedded broker, or localhost:9092.",
        rich_help_panel="Connection",
    ),
]
Property: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--property",
        metavar="NAME=VALUE",
        help="A client property for SASL or TLS, such as security.protocol=SASL_SSL; may be repeated.",
        rich_help_panel="Connection",
    ),
]
Properties: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--properties",
        metavar="FILE",
        help="A file of client properties, one NAME=VALUE a line: keeps passwords out of the process list.",
        rich_help_panel="Connection",
    ),
]
Registry: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--registry",
        envvar="STREAMML_REGISTRY",
        metavar="URL",
        help="A Confluent-compatible schema registry. Without it the schemas are kept in a topic.",
        rich_help_panel="Connection",
    ),
]


def load(path: str) -> Topology:
    """The topology declared in `path`, of the right types but unchecked otherwise. Raises DeclarationError."""
    from streamml.engine.shapes import check_shapes
    from streamml.topology import load_topology

    topology = load_topology(path)
    for problem in check_shapes(topology):
        raise DeclarationError(f"{path}: {problem}")
    return topology


def checked(path: str) -> Topology:
    """The topology declared in `path`, which can be run; otherwise its problems, one line each, and exit code 1."""
    from streamml.cli.terminal import fail
    from streamml.engine.check import check
    from streamml.topology import load_topology

    topology = load_topology(path)
    if problems := check(topology):
        fail(f"{path}: {problem}" for problem in problems)
    return topology


def connection(bootstrap: str | None, properties: Sequence[str] | None, file: Path | None) -> Connection:
    """How to reach the brokers. Raises BrokerError for an option that cannot be understood; opens nothing."""
    from streamml.runtime.connection import Connection

    return Connection.from_options(bootstrap or _embedded() or DEFAULT_BOOTSTRAP, properties_of(properties, file))


def properties_of(properties: Sequence[str] | None, file: Path | None) -> dict[str, str]:
    """The client properties by name: those of the file, then those of the command line."""
    given = _read_properties(file) if file else {}
    for number, text in enumerate(properties or (), 1):
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            # It is not quoted: it may be a password.
            which = "--property" if len(properties or ()) == 1 else f"--property number {number}"
            raise BrokerError(f"{which} has no {'name' if equals else 'value'}: write it as NAME=VALUE")
        given[name.strip()] = value.strip()
    return given


async def reach(where: Connection) -> None:
    """Raise BrokerError at once if no broker answers, or if one refuses these credentials."""
    from streamml.runtime.connection import wait_for_broker

    await wait_for_broker(where, 0.0)


def signing_key() -> bytes | None:
    """The key that snapshots are signed with, from STREAMML_SIGNING_KEY."""
    return os.environ.get("STREAMML_SIGNING_KEY", "").encode() or None


def web_token() -> str | None:
    """What readers of a worker's pages must show, from STREAMML_WEB_TOKEN: never an option, which `ps` would show."""
    return os.environ.get("STREAMML_WEB_TOKEN", "").strip() or None


def _embedded() -> str | None:
    """The address of the broker or the cluster that runs in this folder, if one does."""
    # Asking costs the import of psutil, and a folder that never had a broker shows it by this.
    if not any(Path(".streamml/broker", name).is_file() for name in ("broker.json", "cluster.json")):
        return None
    from streamml.broker import kafka_in

    return kafka_in().status().bootstrap


def _read_properties(file: Path) -> dict[str, str]:
    """Java's format as far as clients use it: NAME=VALUE lines, comments with # or !."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise DeclarationError(
            f"--properties {file} cannot be read ({reason}): give a file of NAME=VALUE lines"
        ) from error
    found = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text[0] in "#!":
            continue
        name, equals, value = text.partition("=")
        if not equals:
            raise BrokerError(f"{file}:{number}: no `=`: write each property as NAME=VALUE")
        found[name.strip()] = value.strip()
    return found
