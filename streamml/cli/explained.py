"""An explanation as text and as JSON. Law: both say the same; whatever bytes are in it, none of them steers the
terminal."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from streamml.cli.quarantined import hexdump
from streamml.cli.rebuild import counted
from streamml.cli.rendering import dump, text_of, time_of
from streamml.cli.terminal import one_line

if TYPE_CHECKING:
    from streamml.engine.explaining import Decision, Force
    from streamml.models.contributions import Contributions, Linear, Path
    from streamml.runtime.explaining import Again, Explanation, Told

_WIDTH = 12
_RAW = 64
"""Bytes of the event that are dumped; `--json` has all of them."""


def as_json(found: Explanation) -> str:
    """All of it as one object; times in ms since the epoch, bytes in base64."""
    return dump(
        {
            "id": found.id,
            "event": _record(found.event, raw=True),
            "doubles": found.doubles,
            "feedback": [_record(told, raw=True) for told in found.feedback],
            "features": _record(found.features),
            "prediction": _record(found.prediction),
            "label": _record(found.label),
            "example": None if found.example is None else {**_place(found.example), "position": found.position},
            "model": _model(found),
            "control": None if found.force is None else _force(found.force),
            **_again(found.again),
            "problem": found.problem,
        }
    )


def lines(found: Explanation) -> Iterator[str]:
    """All of it for a person, a few words to the left of each line."""
    yield from _sections(
        ("id", [found.id]),
        ("event", _event(found)),
        ("features", _shown(found.features, "values")),
        ("prediction", _shown(found.prediction, "output")),
        ("feedback", [line for told in found.feedback for line in _shown(told)]),
        ("label", _shown(found.label, "value")),
        ("example", _example(found)),
        ("model", _model_lines(found)),
        ("champion", _champion(found.force)),
        ("in force", [] if found.force is None else map(_decision, found.force.others)),
        ("rebuilt", _rebuilt(found)),
    )
    if found.again is not None:
        yield from _sections(("why", _why(found.again.shown)))


def _sections(*sections: tuple[str, Iterable[str]]) -> Iterator[str]:
    for title, texts in sections:
        for number, text in enumerate(texts):
            yield f"{'' if number else title:<{_WIDTH}}{_clean(text)}".rstrip()


def _clean(text: str) -> str:
    """As `one_line`, but with its columns."""
    return "".join(c if c.isprintable() else one_line(ascii(c)[1:-1]) for c in text)


def _at(told: Told) -> str:
    record = told.record
    return f"{record.topic}[{record.partition}]@{record.offset}"


def _event(found: Explanation) -> Iterator[str]:
    told = found.event
    if told is None:
        yield "none: the topic holds no event with this id (any more)"
        return
    value = told.record.value or b""
    yield f"{_at(told)}  {time_of(told.record.timestamp)}  {len(value)} bytes"
    yield dump(told.value) if told.problem is None else f"cannot be read: {told.problem}"
    yield from hexdump(value[:_RAW])
    if len(value) > _RAW:
        yield f"… {len(value) - _RAW} more bytes: --json has all of them"
    if found.doubles:
        yield f"{found.doubles} more event{'s' * (found.doubles != 1)} with this id, which count as doubles"


def _shown(told: Told | None, field: str = "") -> Iterator[str]:
    """Where it stands, and what it says; `field` is what matters of it, the rest stands beside the place."""
    if told is None:
        yield "none"
        return
    if told.problem is not None:
        yield f"{_at(told)}  cannot be read: {told.problem}"
        return
    if not field:
        yield f"{_at(told)}  {dump(told.value)}"
        return
    rest = [
        f"{name} {_text(name, value)}" for name, value in told.value.items() if name not in (field, "id", "shadows")
    ]
    yield f"{_at(told)}  {', '.join(rest)}"
    yield dump(told.value[field])
    for shadow in told.value.get("shadows", ()):
        yield f"the shadow {shadow['model']}@{shadow['position']} said {dump(shadow['output'])}"


def _text(name: str, value: Any) -> str:
    if isinstance(value, int) and name in ("served_at", "event_time", "time"):
        return time_of(value)
    return value if isinstance(value, str) else dump(value)


def _example(found: Explanation) -> Iterator[str]:
    if found.example is None:
        yield "none: no model has learned from it"
        return
    which = "" if found.position is None else f"  position {found.position}"
    yield f"{_at(found.example)}{which}"


def _model_lines(found: Explanation) -> Iterator[str]:
    served = found.served
    if served is None:
        return
    yield f"{served['model']}@{served['position']}  digest {served['digest']}"
    lineage = found.lineage
    if lineage is None:
        yield "not declared any more"
    elif not lineage.excluded:
        yield "all examples from the beginning on"
    else:
        ranges = ", ".join(f"{low} to {high - 1}" for low, high in lineage.excluded)
        yield f"a fork of {found.parent or lineage.model.name}, without the positions {ranges}"


def _champion(force: Force | None) -> Iterator[str]:
    if force is None:
        return
    by = "first of the declaration" if force.crowned is None else _decision(force.crowned)
    yield f"{force.reign} when it was served: {by}"


def _decision(decision: Decision) -> str:
    entry = decision.entry
    what = f"{entry['action']} {entry['model']}"
    if entry["position"] is not None:
        what += f"@{entry['position']}"
    if entry["parent"] is not None:
        what += f" ({entry['parent']} without {entry['from_position']} to {entry['to_position'] - 1})"
    return f"{what}, control@{decision.offset} of {time_of(entry['at'])} by {entry['author']}: {entry['reason']}"


def _rebuilt(found: Explanation) -> Iterator[str]:
    again = found.again
    if again is None:
        return
    yield f"from {again.rebuilt.start}, {counted(again.rebuilt.replayed)} replayed"
    yield dump(again.output)
    yield "identical, to the last bit" if again.identical else f"NOT identical: {dump((found.served or {})['output'])}"


def _why(shown: Contributions | None) -> Iterator[str]:
    if shown is None:
        yield "this kind of model shows no contributions"
    elif shown.kind == "linear":
        yield from _linear(shown)
    else:
        yield from _path(shown)


def _linear(shown: Linear) -> Iterator[str]:
    for score in shown.scores:
        yield f"{f'score of {score.of}' if score.of is not None else 'sum'} {score.total:.6g}"
        rows = [("feature", "value", "weight", "contribution")]
        rows += [(t.feature, f"{t.value:.6g}", f"{t.weight:.6g}", f"{t.contribution:+.6g}") for t in score.terms]
        rows.append(("intercept", "", "", f"{score.intercept:+.6g}"))
        yield from _table(rows)


def _path(shown: Path) -> Iterator[str]:
    for turn in shown.turns:
        value = "absent" if turn.value is None else f"{turn.feature} is {turn.value}"
        yield f"{turn.test}   ({value})"
    classes = ", ".join(f"{name} {weight:.6g}" for name, weight in shown.classes.items())
    yield f"a leaf that has learned the weight {shown.weight:.6g}{f' ({classes})' if classes else ''}"
    if shown.alternates:
        yield f"{shown.alternates} alternate subtrees on the way count too"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = (f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
        yield "  ".join((f"{first:<{widths[0]}}", *cells))


def _place(told: Told) -> dict[str, Any]:
    record = told.record
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}


def _record(told: Told | None, raw: bool = False) -> dict[str, Any] | None:
    if told is None:
        return None
    record, more = told.record, {}
    if raw:
        value = None if record.value is None else base64.b64encode(record.value).decode()
        more = {"timestamp": record.timestamp, "key": text_of(record.key), "value_base64": value}
    return {**_place(told), **more, "value": told.value, "problem": told.problem}


def _model(found: Explanation) -> dict[str, Any] | None:
    served, lineage = found.served, found.lineage
    if served is None:
        return None
    return {
        "name": served["model"],
        "digest": served["digest"],
        "position": served["position"],
        "root": None if lineage is None else lineage.model.name,
        "parent": found.parent,
        "excluded": None if lineage is None else lineage.excluded,
    }


def _force(force: Force) -> dict[str, Any]:
    def entry(decision: Decision | None) -> Mapping[str, Any] | None:
        return None if decision is None else {"offset": decision.offset, **decision.entry}

    return {
        "champion": {
            "model": force.reign.model,
            "position": force.reign.position,
            "decision": entry(force.crowned),
        },
        "in_force": [entry(decision) for decision in force.others],
    }


def _again(again: Again | None) -> dict[str, Any]:
    if again is None:
        return {"rebuilt": None, "output": None, "identical": False, "contributions": None}
    start = again.rebuilt.start
    snapshot = None if start.header is None else {"model": start.header["model"], "position": start.position}
    return {
        "rebuilt": {"snapshot": snapshot, "position": start.position, "replayed": again.rebuilt.replayed},
        "output": again.output,
        "identical": again.identical,
        "contributions": again.shown,
    }
