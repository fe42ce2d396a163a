"""Reading a user's topology file. Law: whatever is wrong in it becomes one line that names the file and the line."""

from __future__ import annotations

import importlib.util
import sys
import tokenize
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from streamml.errors import DeclarationError
from streamml.topology.app import Topology
from streamml.topology.sources import Events, Feedback, Schema


def load_topology(path: str | Path) -> Topology:
    """Execute the Python file at `path` and return the one `Topology` that it holds at module level.

    The name of a shipped topology (`electricity`) stands for its file.

    Raises:
        DeclarationError: no such file, it raises, or it does not hold exactly one topology.
    """
    file = _resolve(path)
    spec = importlib.util.spec_from_file_location(f"streamml_topology_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise DeclarationError(f"{file} is not a Python file; a topology is declared in one, see docs/concepts.md")
    _must_be_text(file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _as_line(file, error) from error
    except KeyboardInterrupt as error:
        if not _raised_in(file, error):
            raise
        raise _as_line(file, error) from error
    found = {id(value): value for value in vars(module).values() if isinstance(value, Topology)}
    if len(found) != 1:
        raise DeclarationError(
            f"{file} holds {len(found)} topologies; it must hold exactly one `topology = Topology(...)`"
        )
    return _anchored(next(iter(found.values())), file.parent)


def _must_be_text(file: Path) -> None:
    try:
        with tokenize.open(file) as text:
            readable = "\0" not in text.read()
    except (UnicodeDecodeError, SyntaxError):
        readable = False
    except OSError as error:
        raise DeclarationError(f"{file} cannot be read ({error.strerror}); make it readable for this user") from None
    if not readable:
        raise DeclarationError(f"{file} is not text; a topology is declared in a Python file, see docs/concepts.md")


def _as_line(file: Path, error: BaseException) -> DeclarationError:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    line = frames[-1].lineno if frames else getattr(error, "lineno", None)
    place = str(file) if line is None else f"{file}:{line}"
    return DeclarationError(f"{place}: {type(error).__name__}: {error}".rstrip(": "))


def _raised_in(file: Path, error: KeyboardInterrupt) -> bool:
    """Whether a `raise` of the file's own is its origin; Ctrl-C raises at whatever line is at work."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return last.filename == str(file) and (last.line or "").startswith("raise")


def _anchored(topology: Topology, folder: Path) -> Topology:
    """Schemas by name are looked for beside the file too, wherever the process was started."""

    def find(schema: Schema) -> Schema:
        if not isinstance(schema, str | Path):
            return schema
        places = [
            folder / schema,
            *(home / f"{schema}.avsc" for home in (folder.parent / "schemas", folder / "schemas")),
        ]
        try:
            return next((place for place in places if place.is_file()), schema)
        except (OSError, ValueError):  # Too long for a file system, or with a null byte: no name of a file.
            return schema

    # What is of a wrong type is left as it is: to find it and to say it is for `check`.
    parts: dict[str, Any] = {"events": topology.events, "feedback": topology.feedback}
    found: dict[str, Any] = {
        name: replace(part, schema=find(part.schema))
        for name, part in parts.items()
        if isinstance(part, Events | Feedback)
    }
    return replace(topology, **found)


def _resolve(path: str | Path) -> Path:
    file = Path(path).expanduser()
    if file.is_file():
        return file.resolve()
    if file.suffix == "" and file.name == str(path):
        package = Path(__file__).resolve().parent.parent
        for home in (package.parent / "topology", package / "_shipped" / "topology"):
            if (home / f"{file.name}.py").is_file():
                return home / f"{file.name}.py"
    raise DeclarationError(f"no topology file {path}; give the path of a Python file, such as topology/electricity.py")
