"""The shipped list against the River that is installed."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from importlib.metadata import version
from typing import Any

import pytest
import river

from streamml.snapshots.allowed import _data, resolve, shipped_methods, shipped_names

ELSEWHERE = (
    "river.api",
    "river.bandit.datasets",
    "river.bandit.envs",
    "river.bandit.evaluate",
    "river.base.",
    "river.checks",
    "river.compat",
    "river.datasets",
    "river.drift.datasets",
    "river.evaluate",
    "river.metrics.silhouette",
    "river.misc",
    "river.stream",
    "river.test_",
    "river.time_series.metrics",
)
"""Not parts of models, or not safe: they read files or the network, or run other programs."""


def test_every_pair_names_what_it_says() -> None:
    for module, names in shipped_names().items():
        for name in names:
            thing = resolve(module, name)
            assert callable(thing), f"{module}.{name}"
            if module.startswith("river."):
                assert thing.__module__ in (module, None), f"{name} is not {module}'s own"
                assert inspect.isclass(thing) or inspect.isroutine(thing)


def test_every_method_exists() -> None:
    for path, name in shipped_methods():
        module, _, cls = path.partition(":")
        assert callable(getattr(resolve(module, cls), name))
        assert not name.startswith("__")


def test_nothing_dangerous_is_listed() -> None:
    for module, names in shipped_names().items():
        assert module.partition(".")[0] not in (
            "os",
            "posix",
            "sys",
            "subprocess",
            "importlib",
            "pickle",
            "operator",
            "copy",
        )
        assert not {"getattr", "eval", "exec", "compile", "open", "__import__", "iter", "type", "object"} & names


def test_the_list_is_complete_for_this_river() -> None:
    """On an upgrade of River: add what this names, after looking at whether a constructor touches the outside."""
    measured: Any = _data()["measured_with"]
    assert measured["river"] == version("river")
    missing: list[str] = []
    for found in pkgutil.walk_packages(river.__path__, "river."):
        if found.name.startswith(ELSEWHERE) or ".test_" in found.name or found.name.endswith("typing"):
            continue
        module = importlib.import_module(found.name)
        for name, thing in vars(module).items():
            if (
                inspect.isclass(thing)
                and thing.__module__ == found.name
                and name not in shipped_names().get(found.name, ())
            ):
                missing.append(f"{found.name}.{name}")
    assert not missing


@pytest.mark.parametrize("pair", [("os", "system"), ("builtins", "getattr"), ("river.datasets.base", "os")])
def test_what_is_not_listed(pair: tuple[str, str]) -> None:
    assert pair[1] not in shipped_names().get(pair[0], ())
