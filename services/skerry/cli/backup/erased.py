"""Erasures and a restored backup: what was erased since it was taken comes back with it, and is erased again.

Those of the backup, of the system it goes into, and of a list that was kept beside the backups (`skerry erase list
--json`) stand together afterwards, each as if nothing of it was done yet.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from skerry.adapters import files
from skerry.adapters.objects.protocol import Object
from skerry.core import erasures, errors

_MAX_LIST_BYTES = 16 << 20


def read_list(path: Path) -> list[Object]:
    """The erasures that the list names. Raises InputError, UnavailableError."""
    try:
        rows = json.loads(files.read(path, max_bytes=_MAX_LIST_BYTES))
        found = [Object("Erasure", str(row["name"]), "", dict(row["spec"]), {}, {}, 1, 0, 0) for row in rows]
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise errors.InputError(f"{path} is no list of erasures: `skerry erase list --json` writes one") from exc
    for one in found:
        erasures.parse(one.name, one.spec)
    return found


def begun_again(saved: Iterable[Object], present: Iterable[Object], listed: Iterable[Object]) -> list[Object]:
    """All erasures by name, with their numbers (nodes confirm by them) and nothing else of their status."""
    every: dict[str, Object] = {}
    for one in (*listed, *saved, *present):
        if one.kind == "Erasure":
            number = {key: value for key, value in one.status.items() if key == "number"}
            created = one.created_unix_ms or int(one.spec.get("atUnixMs", 0))
            every[one.name] = Object("Erasure", one.name, "", one.spec, number, one.labels, 1, 0, created)
    return list(every.values())
