"""Records that must not pass, sent on purpose. Law: each breaks one thing that the schemas or the rules forbid.

Only what this topology refuses is sent: a time far ahead, say, is malformed only where a rule says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from streamml.records import Role
from streamml.topology import Classification, EventTime, OneOf, Range, Topology

Encode = Callable[[Mapping[str, Any]], bytes]


class Malformed(NamedTuple):
    """A bad record for `role`, and what is bad about it."""

    kind: str
    role: Role
    value: bytes | None


def malformed_events(topology: Topology, encode: Encode, event: Mapping[str, Any], now: int) -> list[Malformed]:
    """Spoiled copies of a good `event`, as an outside producer might send them; `now` is in ms since the epoch."""
    good = encode(event)
    found = [
        Malformed("no bytes at all", "events", b""),
        Malformed("no value", "events", None),
        Malformed("random bytes", "events", b"\xde\xad\xbe\xef and more"),
        Malformed("cut off", "events", good[: len(good) * 2 // 3]),
    ]
    if topology.events.format == "avro":
        unknown = (0x7FFFFFFF).to_bytes(4, "big")
        found.append(Malformed("a schema id that nobody knows", "events", b"\0" + unknown + good[5:]))
        found.append(Malformed("bytes left over", "events", good + b"\0\0\0"))
        numbers = [name for name, value in event.items() if isinstance(value, float)]
        if numbers:
            found.append(Malformed("not a number", "events", encode({**event, numbers[0]: math.nan})))
            found.append(Malformed("infinite", "events", encode({**event, numbers[-1]: -math.inf})))
    found += [
        Malformed(kind, "events", encode({**event, **change})) for kind, change in _against_rules(topology, event, now)
    ]
    return found


def malformed_labels(topology: Topology, encode: Encode, label: Mapping[str, Any]) -> list[Malformed]:
    """Spoiled copies of a good `label`."""
    good, field = encode(label), topology.feedback.label
    found = [Malformed("half a label", "feedback", good[: len(good) // 2])]
    if isinstance(topology.target, Classification):
        one = topology.target.classes[0]
        if isinstance(one, str):
            found.append(Malformed("a class that is not declared", "feedback", encode({**label, field: "SIDEWAYS"})))
        elif not isinstance(one, bool):
            beyond = max(int(c) for c in topology.target.classes) + 1
            found.append(Malformed("a class that is not declared", "feedback", encode({**label, field: beyond})))
    elif topology.feedback.format == "avro":
        found.append(Malformed("a label that is not a number", "feedback", encode({**label, field: math.nan})))
    return found


def _against_rules(topology: Topology, event: Mapping[str, Any], now: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the first rule of each kind forbids, as a change of the `event`, which is good otherwise."""
    seen: set[type] = set()
    for rule in topology.rules:
        if type(rule) in seen:
            continue
        if isinstance(rule, Range) and rule.high is not None:
            yield "out of its range", {rule.field: type(event[rule.field])(rule.high + abs(rule.high) + 1)}
        elif isinstance(rule, OneOf) and isinstance(event[rule.field], str):
            yield "none of its categories", {rule.field: "no such category"}
        elif isinstance(rule, EventTime) and rule.max_ahead is not None:
            ahead = 2 * int(rule.max_ahead.total_seconds() * 1000) + 60_000
            yield "from the future", {topology.events.time: now + ahead}
        else:
            continue
        seen.add(type(rule))
