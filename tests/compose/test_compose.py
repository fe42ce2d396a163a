"""The files for Docker agree with the rest of the project. Law: `streamml` understands every command in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from streamml.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose"


def parsed(text: str) -> dict[str, Any]:
    """The YAML that our file keeps to: blocks indented by two, `- ` lists of scalars, lists in brackets as in JSON."""
    lines = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    found, rest = _block(lines, 0)
    assert not rest, f"not understood: {rest[0]!r}"
    assert isinstance(found, dict)
    return found


def _block(lines: list[str], depth: int) -> tuple[Any, list[str]]:
    pad = " " * depth
    if lines and lines[0].startswith(f"{pad}- "):
        items = []
        while lines and lines[0].startswith(f"{pad}- "):
            items.append(_scalar(lines[0][depth + 2 :]))
            lines = lines[1:]
        return items, lines
    block: dict[str, Any] = {}
    while lines and re.match(rf"{pad}\S", lines[0]):
        key, colon, value = lines[0].strip().partition(":")
        assert colon, f"no key: {lines[0]!r}"
        assert key not in block, f"twice: {key}"
        lines = lines[1:]
        if value.strip():
            block[key] = _scalar(value)
        else:
            block[key], lines = _block(lines, depth + 2)
    return block, lines


def _scalar(text: str) -> Any:
    text = text.strip()
    return json.loads(text) if text[0] in '["' else text


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = parsed((COMPOSE / "compose.yaml").read_text())["services"]
    return found


def commands(services: dict[str, Any]) -> Iterator[list[str]]:
    for service in services.values():
        if service["image"] == "streamml":
            yield [re.sub(r"\$\{\w+:-(.*?)\}", r"\1", word) for word in service["command"]]


def test_every_command_is_one_of_ours(services: dict[str, Any]) -> None:
    group: Any = typer.main.get_command(app)
    found = {}
    for name, *arguments in commands(services):
        # Parses the options as the command line would, and refuses what it does not know; runs nothing.
        found[name] = group.commands[name].make_context(name, arguments).params
    assert set(found) == {"apply", "run", "demo"}
    assert {params["bootstrap"] for params in found.values()} == {"kafka:19092"}
    assert found["run"]["topology"] == found["apply"]["topology"] == "electricity"
    assert found["apply"]["yes"] is True
    assert found["run"]["web_port"] == 8066


def test_the_broker_is_the_version_that_we_run_ourselves(services: dict[str, Any]) -> None:
    lock = json.loads((ROOT / "streamml" / "broker" / "kafka.lock.json").read_text())
    assert services["kafka"]["image"] == f"apache/kafka:{lock['version']}"


def test_what_is_published_is_published_to_this_machine_alone(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_services_wait_for_those_that_there_are(services: dict[str, Any]) -> None:
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            assert other in services
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other]


def test_the_image_copies_what_exists_and_is_let_in() -> None:
    docker = (COMPOSE / "Dockerfile").read_text()
    let_in = {line[1:] for line in (COMPOSE / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = {name for line in re.findall(r"^COPY (.*) \S+$", docker, re.MULTILINE) for name in line.split()}
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)
    assert "PYTHONHASHSEED=0" in docker
    assert "--require-hashes" in docker
