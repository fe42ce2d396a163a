"""`run`: a worker. Law: what is wrong with the topology or the cluster is said before the worker starts."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamml.cli.apply import make_ready, planned
from streamml.cli.options import (
    Bootstrap,
    Properties,
    Property,
    Registry,
    TopologyPath,
    checked,
    connection,
    signing_key,
    web_token,
)
from streamml.cli.signals import ends_when_told
from streamml.errors import StreammlError

if TYPE_CHECKING:
    from streamml.runtime.connection import Connection
    from streamml.topology import Topology


class LogFormat(StrEnum):
    """How a worker writes its log."""

    auto = "auto"
    text = "text"
    json = "json"


class LogLevel(StrEnum):
    """What a worker writes to its log."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


def run(
    topology: TopologyPath,
    only: Annotated[
        str,
        typer.Option(
            "--only", metavar="TASK,…", help="Run these tasks alone: score, match, learn, learn:NAME, detect, govern."
        ),
    ] = "",
    apply: Annotated[bool, typer.Option("--apply", help="Create missing topics and register schemas first.")] = False,
    web_host: Annotated[
        str,
        typer.Option(
            "--web-host",
            help="Where the status page and /metrics listen; beyond loopback, STREAMML_WEB_TOKEN must be set.",
        ),
    ] = "127.0.0.1",
    web_port: Annotated[int, typer.Option("--web-port", min=0, max=65535, help="Its port; 0 takes a free one.")] = 8066,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="For a person, or JSON lines.")
    ] = LogFormat.auto,
    log_level: Annotated[LogLevel, typer.Option("--log-level")] = LogLevel.info,
    data_dir: Annotated[
        Path, typer.Option("--data-dir", metavar="FOLDER", help="Where state that is declared to lie on disk is kept.")
    ] = Path(".streamml/state"),
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for a broker at the start.")] = 60.0,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Run a topology until it is told to stop: all of its tasks, or with --only some of them, in this process."""
    with ends_when_told():
        found = checked(topology)
        where = connection(bootstrap, property, properties)
        from streamml.runtime.connection import wait_for_broker
        from streamml.runtime.logs import set_up_logs
        from streamml.runtime.web import may_listen
        from streamml.runtime.worker import WorkerOptions, choose, run_worker

        options = WorkerOptions(
            topology=topology,
            connection=where,
            registry=registry,
            only=tuple(only.split(",")),
            web_host=web_host,
            web_port=web_port,
            log_level=log_level.value.upper(),
            log_format=log_format.value,
            web_token=web_token(),
            signing_key=signing_key(),
            wait=wait,
            data_dir=data_dir,
        )
        set_up_logs(options.log_level, options.log_format)
        choose(found, options.only)
        may_listen(web_host, web_port, options.web_token)
        asyncio.run(wait_for_broker(where, wait))
        if apply:
            make_ready(found, where, registry, yes=True)
        else:
            _require_applied(found, where, registry)
        raise typer.Exit(run_worker(options))


def _require_applied(topology: Topology, where: Connection, registry: str | None) -> None:
    found = asyncio.run(planned(topology, where, registry))
    if found.refusals:
        raise StreammlError(found.refusals[0])
    missing = [change.spec.name for change in found.creates] + [change.subject for change in found.registers]
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise StreammlError(
            f"{topology.name} is not applied to {where.bootstrap} ({shown}): run `streamml apply`, or pass --apply"
        )
