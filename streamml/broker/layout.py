"""A cluster's nodes and their ports. Law: one file says who belongs together, and each node reads it by itself.

`cluster.json` lies in the folder of the cluster, beside the folders `node-1`, `node-2`, … of its nodes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FILE = "cluster.json"
_FOLDER = re.compile(r"node-(\d+)")


@dataclass(frozen=True)
class Layout:
    """The id of the cluster; by node, the port for clients (and other nodes) and that of its controller."""

    cluster: str
    ports: Mapping[int, int]
    controllers: Mapping[int, int]


def folder_of(directory: Path, node: int) -> Path:
    """Where a node of the cluster has its data, settings and logs."""
    return directory / f"node-{node}"


def read_layout(directory: Path) -> Layout | None:
    """The cluster of this folder; None if it holds none."""
    try:
        found = json.loads((directory / _FILE).read_text())
        nodes = {int(node): places for node, places in found["nodes"].items()}
        return Layout(
            str(found["cluster"]),
            {node: int(places["port"]) for node, places in nodes.items()},
            {node: int(places["controller"]) for node, places in nodes.items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_layout(directory: Path, layout: Layout) -> None:
    """Put it into the folder, whole or not at all."""
    nodes = {node: {"port": layout.ports[node], "controller": layout.controllers[node]} for node in layout.ports}
    fresh = directory / f"{_FILE}.new"
    fresh.write_text(json.dumps({"cluster": layout.cluster, "nodes": nodes}, indent=1))
    fresh.replace(directory / _FILE)


def membership(directory: Path) -> tuple[int, Layout] | None:
    """Which node of which cluster a node's own folder is; None for the folder of a broker that is alone."""
    name = _FOLDER.fullmatch(directory.name)
    layout = read_layout(directory.parent) if name else None
    if name is None or layout is None or int(name[1]) not in layout.ports:
        return None
    return int(name[1]), layout
