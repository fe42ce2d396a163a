"""A store in a folder: whatever state the folder is in, it opens, or says in one line why it cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamml.errors import StoreError
from streamml.stores import Store, open_store


def test_a_folder_that_another_process_has_is_one_clear_line(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreError, match=r"the state in .* cannot be used .*--data-dir"):
        Store(tmp_path)
    store.close()


@pytest.mark.parametrize("damage", ["no table", "only CURRENT", "an empty CURRENT", "a broken manifest"])
def test_a_damaged_folder_is_made_anew(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "blocks" / "match-0"
    for _ in range(2):  # The second opening writes a table.
        store = Store(folder)
        for number in range(1_000):
            store.put(b"%d" % number, b"x" * 100)
        store.write()
        store.close()
    tables = list(folder.glob("*.sst"))
    assert tables
    if damage == "no table":
        tables[0].unlink()
    elif damage == "only CURRENT":
        for file in folder.iterdir():
            if file.name != "CURRENT":
                file.unlink()
    elif damage == "an empty CURRENT":
        (folder / "CURRENT").write_bytes(b"")
    else:
        for manifest in folder.glob("MANIFEST-*"):
            manifest.write_bytes(b"\xff" * 200)
    told: list[str] = []
    store = open_store(folder, told.append)
    assert store.folder == folder
    assert store.get([b"1"]) == [None]
    store.close()
    (line,) = told
    assert "is damaged and made anew from the changelog" in line
    assert [path.name for path in folder.parent.iterdir()] == ["match-0"]


def test_what_is_no_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "blocks").write_text("a file")
    with pytest.raises(StoreError, match="cannot be used"):
        open_store(tmp_path / "blocks" / "match-0", print)


def test_what_a_killed_process_left_is_swept_away_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "match-1"
    names = ("match-1-left", "match-1-held", "match-1-new", "match-10")
    held = [Store(tmp_path / name) for name in names]
    for store in held:
        if store.folder.name != "match-1-held":
            store.close()
    for name in names:
        if name != "match-1-new":
            os.utime(tmp_path / name, (1, 1))
    open_store(folder, print).close()
    assert {path.name for path in tmp_path.iterdir()} == {"match-1", "match-1-held", "match-1-new", "match-10"}
    held[1].close()
