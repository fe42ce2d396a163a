"""A worker of the tiny topology: `python -m support.tiny_worker TOPOLOGY BOOTSTRAP [--only TASKS] [--registry URL]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from streamml.runtime.connection import Connection
from streamml.runtime.worker import WorkerOptions, run_worker


def topology_file(folder: Path, name: str) -> Path:
    """A user's file that declares the tiny topology."""
    file = folder / f"{name.replace('-', '_')}.py"
    file.write_text(f"from support.tiny import tiny\n\ntopology = tiny({name!r}, partitions=2)\n")
    return file


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("topology")
    parser.add_argument("bootstrap")
    parser.add_argument("--only", default="")
    parser.add_argument("--wait", type=float, default=30)
    parser.add_argument("--registry")
    asked = parser.parse_args()
    options = WorkerOptions(
        asked.topology,
        Connection(asked.bootstrap),
        registry=asked.registry,
        only=tuple(asked.only.split(",")),
        web_port=0,
        log_format="text",
        wait=asked.wait,
    )
    return run_worker(options)


if __name__ == "__main__":
    sys.exit(main())
