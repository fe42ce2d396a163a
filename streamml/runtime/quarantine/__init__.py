"""The quarantine from outside: looking into it, and giving refused records another chance. Law: a record is re-entered
once at most, whoever asks and whatever fails."""

from streamml.runtime.quarantine.ledger import Ledger, Replayed, read_ledger
from streamml.runtime.quarantine.refused import Place, Refused, Selection, find, read_refused, told
from streamml.runtime.quarantine.replay import Outcome, Replay, ReplayStopped, why_not

__all__ = [
    "Ledger",
    "Outcome",
    "Place",
    "Refused",
    "Replay",
    "ReplayStopped",
    "Replayed",
    "Selection",
    "find",
    "read_ledger",
    "read_refused",
    "told",
    "why_not",
]
