"""The label map of a model: its class names in their order. An index means a class only together with its map.

Of itself a map only grows: a later one has all names of the earlier one at the same indices, and perhaps more behind
them; its digest says which beginning is meant. Any other change needs a map of its own (`core.class_maps`).
"""

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache

from skerry.core import class_labels

_SHOWN = 80


def digest(names: Sequence[str]) -> str:
    """The digest of the map with these class names, in this order: of their composed forms (NFC) as a JSON list."""
    return digests(tuple(names))[-1]


def length(map_digest: str, names: Sequence[str]) -> int | None:
    """How many of `names`, from the first on, the map with this digest has; None when it is no beginning of them."""
    try:
        return 1 + digests(tuple(names)).index(map_digest)
    except ValueError:
        return None


def fault(before: Sequence[str], after: Sequence[str]) -> str:
    """Why `after` cannot follow `before`, for people; empty when it is equal or appended to."""
    for index, (was, now) in enumerate(zip(before, after, strict=False)):
        if class_labels.normalized(was) != class_labels.normalized(now):
            return f"class {index} was {was[:_SHOWN]!r} and would be {now[:_SHOWN]!r}"
    if len(after) < len(before):
        return f"there were {len(before)} classes and would be {len(after)}: {before[len(after)][:_SHOWN]!r} is missing"
    return ""


@lru_cache(maxsize=64)
def digests(names: tuple[str, ...]) -> list[str]:
    """The digest of every beginning of `names`, the shortest first; one empty map when there are none."""
    running = hashlib.sha256(b"[")
    found = []
    for index, name in enumerate(names):
        text = json.dumps(class_labels.normalized(name), ensure_ascii=False)
        running.update(("," * (index > 0) + text).encode(errors="surrogatepass"))
        whole = running.copy()
        whole.update(b"]")
        found.append("sha256:" + whole.hexdigest())
    return found or ["sha256:" + hashlib.sha256(b"[]").hexdigest()]
