"""Who goes first where processors are short. Law: a process that nobody waits for gives way to those that serve."""

from __future__ import annotations

import os
from collections.abc import Iterable

from streamml.engine.layout import LEARN

GIVES_WAY = 10
"""The nice value of a worker that only learns: a tenth of the weight of those that serve. It still gets that tenth when
they want all there is, so that it stays a member of its groups."""


def give_way(tasks: Iterable[str]) -> bool:
    """Lower this process's priority for good if all its `tasks` are learners; returns whether they are.

    A model that catches up with its log takes whatever processor time there is. To be called while the process has one
    thread: on Linux a priority is a thread's, and those that are started later inherit it.
    """
    if not all(name.startswith(LEARN) for name in tasks):
        return False
    now = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(now, GIVES_WAY))
    return True
