"""`acl`: what a user must be allowed on Kafka. Law: nothing is opened; an administrator runs what is shown."""

from __future__ import annotations

import json as json_
import shlex
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from streamml.cli.options import DEFAULT_BOOTSTRAP, Bootstrap, Registry, TopologyPath, load
from streamml.errors import StreammlError

if TYPE_CHECKING:
    from streamml.engine.access import Grant
    from streamml.topology import Topology


class Purpose(StrEnum):
    """What the user runs, by the names of our commands."""

    run = "run"
    apply = "apply"
    produce = "produce"
    tail = "tail"
    replay = "replay"
    command = "command"


def acl(
    topology: TopologyPath,
    purpose: Annotated[
        Purpose,
        typer.Option(
            "--for",
            help="What the user runs: a worker, apply, a producer, a reader (tail), replay, or commands on models.",
        ),
    ] = Purpose.run,
    principal: Annotated[
        str, typer.Option("--principal", metavar="User:NAME", help="The user as Kafka knows it.")
    ] = "User:streamml",
    only: Annotated[str, typer.Option("--only", metavar="TASK,…", help="For run: a worker of these tasks alone.")] = "",
    roles: Annotated[str, typer.Option("--topics", metavar="ROLE,…", help="For tail: what is read.")] = "predictions",
    group: Annotated[
        str | None, typer.Option("--group", help="For tail: the consumer group that a program reads in.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON lines, one for each permission.")] = False,
    bootstrap: Bootstrap = None,
    registry: Registry = None,
) -> None:
    """Show the least that a user must be allowed, as commands of kafka-acls.sh. Nothing is changed."""
    from streamml.engine import access

    found = load(topology)
    with_registry = bool(registry)
    if purpose is Purpose.run:
        grants = access.worker(found, _tasks(found, only), with_registry)
    elif purpose is Purpose.apply:
        grants = access.applier(found, with_registry)
    elif purpose is Purpose.produce:
        grants = access.producer(found, with_registry)
    elif purpose is Purpose.replay:
        grants = access.replayer(found, with_registry)
    elif purpose is Purpose.command:
        grants = access.commander(found, with_registry)
    else:
        grants = access.consumer(found, _roles(found, roles), group, with_registry)
    if json:
        lines = [json_.dumps({"principal": principal, **grant._asdict()}) for grant in grants]
    else:
        lines = _commands(grants, principal, bootstrap or DEFAULT_BOOTSTRAP)
    typer.echo("\n".join(lines))


def _commands(grants: list[Grant], principal: str, bootstrap: str) -> list[str]:
    lines = []
    for (resource, name, pattern), same in groupby(grants, key=lambda g: (g.resource, g.name, g.pattern)):
        operations = " ".join(f"--operation {grant.operation}" for grant in same)
        prefixed = " --resource-pattern-type prefixed" if pattern == "prefixed" else ""
        lines.append(
            f"kafka-acls.sh --bootstrap-server {shlex.quote(bootstrap)} --command-config admin.properties --add "
            f"--allow-principal {shlex.quote(principal)} {operations} --{resource} {shlex.quote(name)}{prefixed}"
        )
    return lines


def _tasks(topology: Topology, only: str) -> list[str]:
    from streamml.runtime.worker import choose

    return choose(topology, only.split(","))


def _roles(topology: Topology, text: str) -> list[str]:
    from streamml.engine.layout import topics

    known = [topic.role for topic in topics(topology)]
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            raise StreammlError(f"{topology.name} has no topic {name!r}; it has {', '.join(known)}")
    return wanted
