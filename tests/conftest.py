"""Fixtures of all tests. Law: a server is started when the first test asks for it, once, and ends with the run."""

from __future__ import annotations

import itertools
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.registry import registry as run_registry

from streamml.broker import Broker

# The same examples in every run, so that a red test is red for everyone; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, max_examples=2_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    """What a command set up for its own process, when it was run in this one, ends with the test."""
    ours = logging.getLogger("streamml")
    handlers, propagate = ours.handlers[:], ours.propagate
    levels = {name: logging.getLogger(name).level for name in ("streamml", "aiokafka", "faust", "mode")}
    yield
    ours.handlers[:], ours.propagate = handlers, propagate
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The bootstrap address of one real Kafka for the whole run; it is gone, with its data, at the end."""
    with tempfile.TemporaryDirectory(prefix="streamml-kafka-") as folder:
        broker = Broker(Path(folder), port=0, tied=True)
        try:
            yield broker.up()
        finally:
            broker.down()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the Confluent-compatible API of one real schema registry for the whole run."""
    with run_registry(tmp_path_factory.mktemp("registry") / "registry.log") as url:
        yield url


@pytest.fixture
def app_name(request: pytest.FixtureRequest) -> str:
    """A topology's name that no other test has, so that tests can share one Kafka."""
    test = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_")).strip("-")
    return f"{test[:40].rstrip('-')}-{next(_numbers)}"
