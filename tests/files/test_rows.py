"""Files as people have them: each row comes out once, in order, with its line; what is wrong is told, and where."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from streamml.errors import StreammlError
from streamml.files import Refused, Row, open_rows


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def read(path: Path) -> list[Row | Refused]:
    with open_rows(path) as rows:
        return list(rows)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "A.CSV"])
def test_csv(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, b'\xef\xbb\xbfa, b\n1,x\n\n2,"y\nz"\r\n3,\n')
    with open_rows(path) as rows:
        assert rows.columns == ["a", "b"]
        found = list(rows)
    assert found == [
        Row(0, 2, {"a": "1", "b": "x"}, True),
        Row(1, 5, {"a": "2", "b": "y\nz"}, True),
        Row(2, 6, {"a": "3", "b": ""}, True),
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.jsonl.gz"])
def test_json_lines(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, b'{"a": 1, "b": null}\n\n{"a": [2.5]}')
    with open_rows(path) as rows:
        assert rows.columns is None
        assert list(rows) == [Row(0, 1, {"a": 1, "b": None}, False), Row(1, 3, {"a": [2.5]}, False)]


def test_a_bad_row_is_an_item_and_the_next_one_follows(tmp_path: Path) -> None:
    bad_csv, good_csv = read(write(tmp_path, "a.csv", b"a,b\n1\n1,2\n"))
    assert bad_csv == Refused(0, 2, "1 cell, but the header names 2 columns")
    assert good_csv == Row(1, 3, {"a": "1", "b": "2"}, True)
    quoted = read(write(tmp_path, "q.csv", b'a,b\n"1"x,2\n1,2\n'))
    assert [type(item) for item in quoted] == [Refused, Row]
    no_json, no_object, good = read(write(tmp_path, "a.jsonl", b'{"a": \n[1]\n{"a": 1}\n'))
    assert isinstance(no_json, Refused)
    assert no_json.reason.startswith("not JSON at character")
    assert no_object == Refused(1, 2, "a JSON list; expected one object a line")
    assert isinstance(good, Row)


def test_share_goes_from_nothing_to_all(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", b"a\n" + b"12345\n" * 50_000)
    with open_rows(path) as rows:
        shares = [rows.share for _ in rows]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.2
    assert shares[-1] == 1.0


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.xlsx", b"", "give a .csv, .jsonl or .ndjson file"),
        ("a", b"", "give a .csv, .jsonl or .ndjson file"),
        ("a.csv", b"", "is empty; its first line must name the columns"),
        ("a.csv", b"a,a\n1,2\n", "names the column 'a' twice"),
        ("a.csv", b"a\nfine\nM\xfcnchen\n", "is not UTF-8 text"),
        ("a.csv.gz", None, "cannot be read in its header"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"no gzip at all" if content is None else content)
    with pytest.raises(StreammlError, match=said) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_torn_file_says_after_which_row(tmp_path: Path) -> None:
    whole = gzip.compress(b"a\n" + b"\n".join(b"%d" % (i * 7919) for i in range(20_000)))
    path = tmp_path / "a.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    found: list[Row | Refused] = []
    with open_rows(path) as rows, pytest.raises(StreammlError, match=r"after row \d+ .*is the file whole"):
        found.extend(rows)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(StreammlError, match="No such file"):
        read(tmp_path / "none.csv")
