"""The node's own word on privacy: a YAML file of whoever runs the node, which nobody in the cloud can loosen.

Read once, at the start. An agent whose file is not there or is not right does not start: to go on without it would let
out what it was written to keep in.
"""

from pathlib import Path
from typing import Any

import yaml

from skerry.core import errors, specs
from skerry.core.privacy import Floor

MAX_BYTES = 64 << 10


def read(path: Path) -> Floor:
    """Raises InputError that names the file and what is wrong in it, UnavailableError when it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise errors.UnavailableError(
            f"SKERRY_PRIVACY names {path}, which cannot be read: {exc.strerror}; without it this agent does not start"
        ) from exc
    if len(data) > MAX_BYTES:
        raise errors.InputError(f"{path} has more than {MAX_BYTES} bytes")
    try:
        document = yaml.load(data, _Loader)  # a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise errors.InputError(f"{path} is no YAML: {' '.join(str(exc).split())[:300]}") from exc
    return specs.parse_floor(document, str(path))


class _Loader(yaml.SafeLoader):
    """Refuses a name that is given twice: of two entries YAML silently takes the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        if twice := [name for name in names if names.count(name) > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r:.80} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)
