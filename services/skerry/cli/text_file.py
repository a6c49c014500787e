"""Text files that people bring: bounded, UTF-8 or refused by name. A byte-order mark is taken off, nothing is replaced.

YAML and JSON come through here too: a key that stands twice is refused, because one of the two would be lost unseen.
"""

import codecs
import json
from pathlib import Path
from typing import Any

from skerry.core import errors

MAX_BYTES = 1 << 20
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read(path: Path, *, max_bytes: int = MAX_BYTES) -> str:
    """The text of a file. Raises InputError (another encoding, unreadable), NotFoundError, TooLargeError."""
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError as exc:
        raise errors.NotFoundError(f"there is no file {path}") from exc
    except (OSError, ValueError) as exc:
        raise errors.InputError(f"{path} cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc
    if len(data) > max_bytes:
        raise errors.TooLargeError(f"{path} is larger than {max_bytes} bytes")
    if data.startswith(_UTF16):
        raise errors.InputError(f"{path} is UTF-16 text: save it as UTF-8")
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as exc:
        line = data[: exc.start].count(b"\n") + 1
        raise errors.InputError(f"{path} is not UTF-8 text (line {line}): save it as UTF-8") from exc


def read_json(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """The JSON value in a file. Raises InputError, also for a key that stands twice."""
    text = read(path, max_bytes=max_bytes)
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _distinct(path, pairs))
    except (ValueError, RecursionError) as exc:
        raise errors.InputError(f"{path} is not JSON: {exc}") from exc


def read_yaml(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """The YAML value in a file, plain data only. Raises InputError, also for a key that stands twice."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            # before merge keys (<<) are resolved: a key of its own may override a merged one
            own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
            _distinct(path, [(self.construct_object(key, deep=True), None) for key in own])
            made: dict[Any, Any] = super().construct_mapping(node, deep=deep)
            return made

    text = read(path, max_bytes=max_bytes)
    try:
        return yaml.load(text, Loader=Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        raise errors.InputError(f"{path} is not YAML: {_in_one_line(exc)}") from exc


def _in_one_line(error: Exception) -> str:
    """What is wrong and where, of the several lines that a YAML error has."""
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}" if mark is not None else ""
    lines = str(getattr(error, "problem", None) or error or type(error).__name__).splitlines()
    return f"{lines[0]}{where}"


def _distinct(path: Path, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    seen: dict[Any, Any] = {}
    for key, value in pairs:
        if isinstance(key, str | int | float | bool) or key is None:
            if key in seen:
                raise errors.InputError(f"{path} has the key {str(key)[:80]!r} twice in one mapping: keep one of them")
            seen[key] = value
    return seen
