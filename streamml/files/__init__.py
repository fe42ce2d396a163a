"""Records from files. Law: a row becomes exactly what its topic's schema says, or one line that says why not."""

from streamml.files.encoding import encoder_of
from streamml.files.rows import Refused, Row, Rows, open_rows
from streamml.files.shaping import Shape, Shaped

__all__ = ["Refused", "Row", "Rows", "Shape", "Shaped", "encoder_of", "open_rows"]
