"""Rows of CSV and JSON lines, gzipped or not. Law: one pass, bounded memory; bad rows are items, a torn file raises."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

import orjson

from streamml.errors import StreammlError

_CSV, _JSON = (".csv",), (".jsonl", ".ndjson")
_MAX_CELL = 16 << 20


class Row(NamedTuple):
    """One row: its number (from 0; header and blank lines are not counted), the line where it ends (from 1), its cells.

    The cells are by column. `text` says that they are all text (CSV), not values of JSON types.
    """

    number: int
    line: int
    cells: Mapping[str, Any]
    text: bool


class Refused(NamedTuple):
    """A row that cannot be read; `reason` is one line."""

    number: int
    line: int
    reason: str


Item: TypeAlias = Row | Refused


class Rows:
    """The rows of an open file. `columns` are those of a CSV header; None for JSON lines, each of which has its own."""

    def __init__(self, path: Path, raw: IO[bytes], size: int, content: IO[bytes], kind: str) -> None:
        self.path = path
        self._raw = raw
        self._size = size
        self.columns: list[str] | None = None
        if kind in _CSV:
            # Kept: a wrapper that is collected closes the file under it.
            self._text = io.TextIOWrapper(content, encoding="utf-8-sig", newline="")
            reader = csv.reader(self._text, strict=True)
            self.columns = self._header(reader)
            self._items = self._csv(reader, self.columns)
        else:
            self._items = self._json(content)

    @property
    def share(self) -> float:
        """How much of the file was read, from 0 to 1."""
        return min(1.0, self._raw.tell() / self._size) if self._size else 1.0

    def __iter__(self) -> Iterator[Item]:
        number = 0
        while True:
            try:
                item = next(self._items, None)
            except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
                raise self._torn(f"after row {number - 1}" if number else "at its beginning", error) from error
            if item is None:
                return
            number = item.number + 1
            yield item

    def _header(self, reader: Any) -> list[str]:
        try:
            columns = [name.strip() for name in next(reader, [])]
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
            raise self._torn("in its header", error) from error
        if not columns:
            raise StreammlError(f"{self.path} is empty; its first line must name the columns")
        for name in columns:
            if columns.count(name) > 1:
                raise StreammlError(f"{self.path}: the header names the column {name!r} twice; rename one")
        return columns

    def _csv(self, reader: Any, columns: list[str]) -> Iterator[Item]:
        number = 0
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                yield Refused(number, reader.line_num, f"not CSV: {error}")
                number += 1
                continue
            if cells is None:
                return
            if not cells:
                continue
            if len(cells) != len(columns):
                found = f"{len(cells)} cell{'s' * (len(cells) != 1)}"
                yield Refused(number, reader.line_num, f"{found}, but the header names {len(columns)} columns")
            else:
                yield Row(number, reader.line_num, dict(zip(columns, cells, strict=True)), text=True)
            number += 1

    def _json(self, content: IO[bytes]) -> Iterator[Item]:
        number = 0
        for line, data in enumerate(content, 1):
            if not data.strip():
                continue
            try:
                value = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
            except orjson.JSONDecodeError as error:
                yield Refused(number, line, f"not JSON at character {error.pos}: {error.msg}")
            else:
                if isinstance(value, dict):
                    yield Row(number, line, value, text=False)
                else:
                    yield Refused(number, line, f"a JSON {type(value).__name__}; expected one object a line")
            number += 1

    def _torn(self, where: str, error: Exception) -> StreammlError:
        if isinstance(error, UnicodeDecodeError):
            return StreammlError(
                f"{self.path} is not UTF-8 text {where} (byte 0x{error.object[error.start]:02x}); convert it"
            )
        return StreammlError(
            f"{self.path} cannot be read {where} ({error or type(error).__name__}); is the file whole?"
        )


@contextmanager
def open_rows(path: Path) -> Iterator[Rows]:
    """The rows of a `.csv`, `.jsonl` or `.ndjson` file, each also with `.gz`.

    Raises:
        StreammlError: another kind of file, or one that cannot be read; a torn file raises it while it is read.
    """
    kinds = [suffix.lower() for suffix in path.suffixes[-2:]]
    zipped = bool(kinds) and kinds[-1] == ".gz"
    kind = (kinds[:-1] if zipped else kinds)[-1:]
    if not kind or kind[0] not in (*_CSV, *_JSON):
        raise StreammlError(
            f"{path} is of no kind that can be read; give a .csv, .jsonl or .ndjson file, or one of those with .gz"
        )
    csv.field_size_limit(_MAX_CELL)
    try:
        raw = path.open("rb")
    except OSError as error:
        raise StreammlError(
            f"{path} cannot be read ({error.strerror}); give the path of a .csv or .jsonl file"
        ) from error
    with raw:
        size = path.stat().st_size
        content: Any = gzip.GzipFile(fileobj=raw) if zipped else raw
        rows = Rows(path, raw, size, content, kind[0])
        yield rows
