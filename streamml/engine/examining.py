"""The answer to a request of `govern` to examine a model. Law: it is given by whoever learns the model, once for each
request, whatever came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from streamml.engine.starts import BEGINNING, Start, starts
from streamml.engine.validation import Examination, Example, examine
from streamml.errors import StreammlError
from streamml.models import Lineage
from streamml.snapshots import Snapshot
from streamml.topology import Limits, Topology


def pair(
    held: Iterable[Start], lineage: Lineage, lineages: Mapping[str, Lineage], first: int, most: int
) -> tuple[Start, Start] | None:
    """The newest snapshot of the lineage, and where the fold up to it may begin that is nearest before it; None while
    it has none, or none before that is near: no more than `most` examples are folded from the beginning. `first` is the
    offset at which `examples` begins now.

    Raises:
        StreammlError: the examples that led to it were deleted.
    """
    held = list(held)
    own = [s for s in held if s.header and (s.header["model"], s.header["digest"]) == (lineage.name, lineage.digest)]
    if not own:
        return None
    newer = max(own, key=lambda start: start.position)
    for older in starts(held, lineage, lineages, newer.position - 1, first):
        if older == BEGINNING and newer.position > most:
            return None  # The next snapshot will have this one near before it.
        if older.header is not None or older == BEGINNING:
            return older, newer
    raise StreammlError(f"the examples that led to {newer} were deleted, so that nothing can be folded again")


def examined(
    topology: Topology,
    lineage: Lineage,
    older: Snapshot | None,
    newer: Snapshot,
    examples: Iterable[Example],
    clock: Callable[[], float],
) -> Examination:
    """See `examine`; by the limits of the topology's gate."""
    limits = topology.gate.limits if topology.gate is not None else Limits()
    return examine(lineage, topology.target, older, newer, examples, limits, clock)


def answer_of(name: str, found: Examination | StreammlError, author: str, at: int) -> dict[str, Any]:
    """The command that tells `govern` what was found; `at` is in ms since the epoch."""
    figures = {} if isinstance(found, StreammlError) else found.figures
    problems = [str(found)] if isinstance(found, StreammlError) else found.problems
    return {
        "kind": "command",
        "action": "validated",
        "model": name,
        "position": int(figures["to_position"]) if figures else None,
        "accepted": None,
        "reason": "; ".join(problems),
        "author": author,
        "command": None,
        "parent": None,
        "from_position": None,
        "to_position": None,
        "evidence": figures,
        "at": at,
    }
