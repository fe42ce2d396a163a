"""Estimators as data: parts, identity, seeds, bytes. Law: a snapshot is only a cache, so in doubt it is refused."""

from streamml.snapshots.allowed import Allowed, allow
from streamml.snapshots.assembler import Assembler, Snapshot
from streamml.snapshots.environment import differences, environment
from streamml.snapshots.pickling import dumps, loads, renewed
from streamml.snapshots.sealing import CHUNK, key_of, seal
from streamml.snapshots.seeds import seeded
from streamml.snapshots.structure import structure
from streamml.snapshots.swift import watched

__all__ = [
    "CHUNK",
    "Allowed",
    "Assembler",
    "Snapshot",
    "allow",
    "differences",
    "dumps",
    "environment",
    "key_of",
    "loads",
    "renewed",
    "seal",
    "seeded",
    "structure",
    "watched",
]
