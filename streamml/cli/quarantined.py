"""A refused record as text. Law: whatever its bytes are, it is shown, and none of them steers the terminal."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from streamml.cli.rendering import dump, text_of, time_of
from streamml.cli.terminal import one_line

if TYPE_CHECKING:
    from streamml.records import Record
    from streamml.runtime.quarantine import Ledger, Refused, Replayed

_ROW = 16
_DUMPED = 512
"""Bytes of a value that `show` dumps; `-o` and `--raw` give all of them."""


def as_json(refused: Refused, ledger: Ledger) -> dict[str, Any]:
    """One refused record, for machines; times in ms since the epoch, sizes in bytes."""
    replayed = ledger.of(refused)
    return {
        "place": str(refused.place),
        "topic": refused.topic or None,
        "partition": refused.partition,
        "offset": refused.offset,
        "agent": refused.agent or None,
        "rule": refused.rule,
        "field": refused.field,
        "error": refused.error,
        "at": refused.at,
        "timestamp": refused.timestamp,
        "key": text_of(refused.key),
        "size": refused.size,
        "replayed": None if replayed is None else replayed._asdict(),
    }


def as_cells(refused: Refused, ledger: Ledger) -> tuple[str, ...]:
    """Place, time, rule and field, source, size, and why; all on one line."""
    rule = refused.rule + (f"({refused.field})" if refused.field else "")
    size = "null" if refused.size is None else f"{refused.size} B"
    said = refused.error + (f" [{again(replayed)}]" if (replayed := ledger.of(refused)) else "")
    cells = (str(refused.place), time_of(refused.at), rule, refused.source, size, said)
    return tuple(one_line(cell) for cell in cells)


def again(replayed: Replayed) -> str:
    """When and by whom it was re-entered."""
    return f"replayed {time_of(replayed.at)} by {replayed.by}"


def summary(counts: Counter[str], replayed: int, shown: int) -> list[str]:
    """The counts by rule, the most frequent first, then their sum."""
    total = counts.total()
    lines = [f"{count:>8}  {one_line(rule)}" for rule, count in counts.most_common()]
    parts = [f"{total} record{'s' * (total != 1)} in quarantine", f"{replayed} of them replayed"]
    if shown < total:
        parts.append(f"the newest {shown} shown")
    return [*lines, ", ".join(parts)]


def table(rows: Iterable[tuple[str, ...]], titles: Sequence[str]) -> None:
    """The rows on a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        drawn.add_column(title, overflow="fold" if title == titles[-1] else "ellipsis", no_wrap=title != titles[-1])
    for row in rows:
        drawn.add_row(*map(Text, row))
    Console().print(drawn)


def whole(refused: Refused, record: Record, ledger: Ledger, decoded: Any, problem: str | None) -> Iterator[str]:
    """All that there is to say of one record, for a person. `decoded`: its value, or `problem` says why not."""
    replayed = ledger.of(refused)
    field = f", field {refused.field}" if refused.field else ""
    yield from (
        f"place      {refused.place}",
        f"refused    {time_of(refused.at)} by {refused.agent or 'unknown'}, rule {refused.rule}{field}",
        f"error      {refused.error}",
        f"source     {refused.source}",
        f"replayed   {again(replayed).removeprefix('replayed ') if replayed else 'no'}",
        f"timestamp  {time_of(record.timestamp)}",
        f"key        {text_of(record.key) if record.key is not None else 'null'}",
    )
    for name, value in record.headers:
        yield f"header     {name}: {text_of(value) if value is not None else 'null'}"
    if record.value is None:
        yield "value      null"
        return
    yield f"value      {len(record.value)} bytes"
    yield f"decoded    {dump(decoded)}" if problem is None else f"decoded    no: {problem}"
    yield from hexdump(record.value[:_DUMPED])
    if len(record.value) > _DUMPED:
        yield f"           … {len(record.value) - _DUMPED} more bytes: -o FILE writes all of them"


def whole_json(refused: Refused, record: Record, ledger: Ledger, decoded: Any, problem: str | None) -> str:
    """The same for machines; bytes in base64."""
    return dump(
        {
            **as_json(refused, ledger),
            "headers": [[name, _base64(value)] for name, value in record.headers],
            "key_base64": _base64(record.key),
            "value_base64": _base64(record.value),
            "decoded": decoded,
            "problem": problem,
        }
    )


def hexdump(data: bytes) -> Iterator[str]:
    """Offset, 16 bytes in hexadecimal, and those of them that are ASCII."""
    for at in range(0, len(data), _ROW):
        row = data[at : at + _ROW]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{at:08x}   {row.hex(' '):<{3 * _ROW - 1}}  |{text}|"


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
