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
    ("nice", "tasks", "said"),
    [
        (0, ["learn:lr", "learn:hat"], "True 10 10"),
        (15, ["learn:lr"], "True 15 15"),
        (3, ["score", "learn:lr"], "False 3 3"),
        (3, ["match"], "False 3 3"),
    ],
)
def test_only_who_only_learns_gives_way_with_all_later_threads(nice: int, tasks: list[str], said: str) -> None:
    assert os.getpriority(os.PRIO_PROCESS, 0) == 0, "the tests run with the usual priority"
    command = [sys.executable, "-c", PROGRAM, str(nice), *tasks]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == said
