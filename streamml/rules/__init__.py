"""What makes an event or a label valid beyond its schema. Law: a rule is declared once and costs one comparison an
event."""

from streamml.rules.check import check_events
from streamml.rules.compiled import MAX_SIZE, compile_rules, max_ahead_of, max_size_of, with_event_time
from streamml.rules.identity import MAX_ID_BYTES, MAX_TIME, id_of, time_of
from streamml.rules.labels import label_check

__all__ = [
    "MAX_ID_BYTES",
    "MAX_SIZE",
    "MAX_TIME",
    "check_events",
    "compile_rules",
    "id_of",
    "label_check",
    "max_ahead_of",
    "max_size_of",
    "time_of",
    "with_event_time",
]
