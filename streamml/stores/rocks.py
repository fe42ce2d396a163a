"""A store in a folder, on RocksDB. Law: what was written together is there together or not at all, whatever dies.

Memory is bounded by the figures below, however much it holds. A write is in the log of RocksDB when it returns, which
outlives the process; a machine that loses its power loses the last of them, as a whole, and what is written with them.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBatch

from streamml.errors import StoreError

_CACHE = 32 << 20
_MEMTABLE = 16 << 20
_MEMTABLES = 3
_BLOOM_BITS = 10
_OPEN_FILES = 256
_LOG_FILES = 2
_FRESH_S = 60
"""Bytes, bits a key, counts, and seconds."""


class Store:
    """Bytes by key, in the order of the keys. Keys and values are `bytes`; changes wait in `put` and the like until
    `write`.

    Raises:
        StoreError: the folder cannot be used: no room, no right, or another process has it open.
    """

    def __init__(self, folder: Path, *, temporary: bool = False) -> None:
        """`temporary`: the folder goes when the store is closed."""
        self.folder = folder
        self._temporary = temporary
        self._batch = WriteBatch(raw_mode=True)
        self._db = self._open()

    def _open(self) -> Rdict:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return Rdict(str(self.folder), _options())
        except Exception as error:  # rocksdict raises a bare Exception
            raise self._unusable(error) from error

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The value of each key as of the last `write`."""
        try:
            return cast("list[bytes | None]", self._db.get(list(keys))) if keys else []
        except Exception as error:  # rocksdict raises a bare Exception
            raise self._unusable(error) from error

    def keys(self, start: bytes, end: bytes) -> Iterator[bytes]:
        """The keys from `start` up to, and without, `end`, as of the last `write`."""
        for key in cast("Iterator[bytes]", self._db.keys(from_key=start)):
            if key >= end:
                return
            yield key

    def put(self, key: bytes, value: bytes) -> None:
        self._batch.put(key, value)

    def delete(self, key: bytes) -> None:
        self._batch.delete(key)

    def delete_range(self, start: bytes, end: bytes) -> None:
        """All keys from `start` up to, and without, `end` that were written before."""
        self._batch.delete_range(start, end)

    def write(self) -> None:
        """Make the changes since the last `write`, in their order, as one."""
        batch, self._batch = self._batch, WriteBatch(raw_mode=True)
        try:
            self._db.write(batch)
        except Exception as error:  # rocksdict raises a bare Exception
            raise self._unusable(error) from error

    def clear(self) -> None:
        """Start anew, with nothing."""
        self._close()
        _remove(self.folder)
        self._batch = WriteBatch(raw_mode=True)
        self._db = self._open()

    def close(self) -> None:
        """Let go of the folder; what was not written is lost."""
        self._close()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _close(self) -> None:
        # It flushes, and fails where writing did; RocksDB lets go of the folder all the same.
        with suppress(Exception):
            self._db.close()

    def _unusable(self, error: Exception) -> StoreError:
        text = " ".join(str(error).split())
        return StoreError(
            f"the state in {self.folder} cannot be used ({text}); nothing is lost, the changelog has it all: "
            "make room, or name another folder with --data-dir"
        )


def open_store(folder: Path, report: Callable[[str], None]) -> Store:
    """The store in `folder`; an empty one beside it, for the time being, while another process has that open.

    Such a process is a worker on this machine that has lost the partition and does not know it yet.
    """
    _sweep(folder)
    try:
        return Store(folder)
    except StoreError as error:
        if _is_damaged(error, folder):
            report(f"the state in {folder} is damaged and made anew from the changelog: {error.__cause__}")
            _remove(folder)
            return Store(folder)
        if not _is_taken(error):
            raise
    beside = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    report(f"another process has the state in {folder} open: {beside.name} takes its place until this worker ends")
    return Store(beside, temporary=True)


def _sweep(folder: Path) -> None:
    """Remove what took the place of `folder` once and was left by a process that was killed."""
    for left in folder.parent.glob(f"{folder.name}-*"):
        # Another process may have it open, or be about to open what was made just now, or sweep too.
        with suppress(StoreError, OSError):
            if time.time() - left.stat().st_mtime > _FRESH_S:
                Store(left, temporary=True).close()


def _is_taken(error: StoreError) -> bool:
    said = str(error.__cause__)
    return "lock hold by" in said or "While lock file" in said


def _is_damaged(error: StoreError, folder: Path) -> bool:
    """RocksDB says so, or misses a file of a folder that it has been at home in."""
    said = str(error.__cause__)
    return "Corruption" in said or ("No such file or directory" in said and (folder / "CURRENT").exists())


def _remove(folder: Path) -> None:
    """Out of the way first: a folder that is half removed would look damaged."""
    if folder.exists():
        away = Path(tempfile.mkdtemp(prefix=f"{folder.name}-old-", dir=folder.parent))
        folder.rename(away / folder.name)
        shutil.rmtree(away, ignore_errors=True)


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(_MEMTABLE)
    options.set_max_write_buffer_number(_MEMTABLES)
    options.set_max_open_files(_OPEN_FILES)
    options.set_keep_log_file_num(_LOG_FILES)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_level_compaction_dynamic_level_bytes(True)
    table = BlockBasedOptions()
    table.set_block_cache(Cache(_CACHE))
    table.set_bloom_filter(_BLOOM_BITS, False)
    # Otherwise the filters of all files stay in memory, however many there are.
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options.set_block_based_table_factory(table)
    return options
