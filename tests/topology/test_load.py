"""Reading a topology file: whatever it does instead of declaring one is a line with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamml import load_topology
from streamml.errors import DeclarationError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys\nsys.exit(3)\n", ":2: SystemExit: 3"),
        ("x = 1\nraise SystemExit\n", ":2: SystemExit"),
        ("raise KeyboardInterrupt\n", ":1: KeyboardInterrupt"),
        ("def f():\n    raise KeyboardInterrupt('enough')\nf()\n", ":2: KeyboardInterrupt: enough"),
        (
            "from streamml import *\nTopology('a', 0, 0, 0, None, 0)\n",
            ":2: TypeError: 'NoneType' object is not iterable",
        ),
        (b"\x00\x01\x02", " is not text; a topology is declared in a Python file, see docs/concepts.md"),
        (b"x = '\xff\xfe'\n", " is not text; a topology is declared in a Python file, see docs/concepts.md"),
        (b"# coding: klingon\n", " is not text; a topology is declared in a Python file, see docs/concepts.md"),
    ],
)
def test_a_file_that_declares_nothing_is_one_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    file = tmp_path / "shop.py"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DeclarationError) as caught:
        load_topology(file)
    assert str(caught.value) == f"{file}{said}"


def test_ctrl_c_still_interrupts(tmp_path: Path) -> None:
    file = tmp_path / "slow.py"
    file.write_text("import signal\nsignal.raise_signal(signal.SIGINT)\nx = 1\n")
    with pytest.raises(KeyboardInterrupt):
        load_topology(file)


@pytest.mark.parametrize("schema", [None, [1], "a\0b", "x" * 5000])
def test_what_is_of_a_wrong_type_is_left_to_the_check(tmp_path: Path, schema: object) -> None:
    file = tmp_path / "shop.py"
    events = "None" if schema is None else f"Events({schema!r}, id='id', time='at')"
    file.write_text(f"from streamml import *\ntopology = Topology('a', {events}, None, None, (), None)\n")
    events_found: object = load_topology(file).events
    assert getattr(events_found, "schema", None) == schema
