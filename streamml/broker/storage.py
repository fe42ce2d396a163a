"""The storage of a node, made ready once. Law: it belongs to one cluster for ever, by the id that is written in it."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from pathlib import Path

from streamml.broker import process
from streamml.errors import BrokerError


def cluster_of(directory: Path) -> str | None:
    """The id of the cluster that this node's storage belongs to; None before it was made ready."""
    try:
        lines = _marker(directory).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition("=")[2] for line in lines if line.startswith("cluster.id=")), None)


def make_ready(directory: Path, jars: Sequence[Path], cluster: str) -> None:
    """Format the storage by `server.properties`, unless it was done before. Raises BrokerError if it cannot be."""
    if _marker(directory).exists():
        return
    command = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", "server.properties"]
    code, said = process.run(directory, jars, command)
    if code != 0:
        reason = next((line for line in reversed(said.splitlines()) if line.strip()), "no reason given")
        raise BrokerError(f"the storage in {directory / 'data'} cannot be made ready: {reason.strip()}")


def new_cluster_id() -> str:
    """Kafka's own form: 16 random bytes in URL-safe base64."""
    while True:
        name = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not name.startswith("-"):  # That would be read as an option.
            return name


def _marker(directory: Path) -> Path:
    return directory / "data" / "meta.properties"
