"""Whose processor time it is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys, threading
from streamml.runtime.priority import give_way
os.nice(int(sys.argv[1]))
gave_way = give_way(sys.argv[2:])
found = []
thread = threading.Thread(target=lambda: found.append(os.getpriority(os.PRIO_PROCESS, 0)))
thread.start()
thread.join()
print(gave_way, os.getpriority(os.PRIO_PROCESS, 0), *found)
"""


@pytest.mark.parametrize(
    ("more", "tasks", "gives_way"),
    [
        (0, ["learn:lr", "learn:hat"], True),
        (15, ["learn:lr"], True),
        (3, ["score", "learn:lr"], False),
        (3, ["match"], False),
    ],
)
def test_only_who_only_learns_gives_way_with_all_later_threads(more: int, tasks: list[str], gives_way: bool) -> None:
    before = min(19, os.getpriority(os.PRIO_PROCESS, 0) + more)
    after = max(before, 10) if gives_way else before
    command = [sys.executable, "-c", PROGRAM, str(more), *tasks]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert said == [str(gives_way), str(after), str(after)]
