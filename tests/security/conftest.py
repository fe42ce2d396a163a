"""One secured Kafka for all tests of this folder, with users who may do nothing until a test lets them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.conftest import Cli, cli, declare
from security.secured import Secured, secured

__all__ = ["cli", "declare"]

USERS = ("applier", "worker", "producer", "reader", "replayer", "stranger")


@pytest.fixture(scope="session")
def _broker() -> Iterator[Secured]:
    with (
        tempfile.TemporaryDirectory(prefix="streamml-secured-") as folder,
        secured(Path(folder), *USERS) as broker,
    ):
        yield broker


@pytest.fixture
def broker(_broker: Secured, cli: Cli) -> Iterator[Secured]:
    """The broker, as the command line knows it; what a test allows ends with the test."""
    cli.env = {"STREAMML_BOOTSTRAP": _broker.bootstrap}
    yield _broker
    _broker.revoke_all()
