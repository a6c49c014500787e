"""What the publisher of a model's datasets writes down of itself: the parts that it packed, and for what the catalogue
is whole. Whoever publishes next goes on from there; without it all is packed and looked at again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.telemetry import logs
from skerry.core import contract, datasets, digests, errors
from skerry.curator import catalogue
from skerry.curator.datasets import Group, Packed
from skerry.curator.label_task import LabelTask

_FORMAT = 1
_MAX_BYTES = 16 << 20

_log = logs.logger("curator")


@dataclass(frozen=True, slots=True)
class Publication:
    """`audited` says in what terms every example of the model was looked at once; empty: not yet."""

    audited: str
    packed: Mapping[Group, Packed]


NOTHING = Publication("", {})


def read(blobs: Blobs, task: LabelTask) -> Publication:
    """NOTHING of a model that has none, or another task since. Raises UnavailableError."""
    path = contract.published_path(task.model)
    try:
        document = json.loads(blobs.read(path, max_bytes=_MAX_BYTES))
        if document["format"] != _FORMAT or document["task"] != _terms(task):
            return NOTHING
        return Publication(str(document["audited"]), dict(map(_packed, document["parts"])))
    except errors.NotFoundError:
        return NOTHING
    except (errors.InputError, ValueError, KeyError, TypeError, RecursionError) as exc:
        _log.warning("publication_damaged", path=path, message=repr(exc)[:200])
        return NOTHING


def write(blobs: Blobs, task: LabelTask, publication: Publication) -> None:
    """Raises UnavailableError."""
    parts = [
        {
            "role": role,
            "startUnixMs": start,
            "widthMs": width,
            "bits": bits,
            "signature": one.signature.hex(),
            "part": asdict(one.part),
        }
        for (role, start, width, bits), one in publication.packed.items()
    ]
    document = {"format": _FORMAT, "task": _terms(task), "audited": publication.audited, "parts": parts}
    blobs.write(contract.published_path(task.model), json.dumps(document, separators=(",", ":")).encode())


def _packed(given: Mapping[str, Any]) -> tuple[Group, Packed]:
    told = given["part"]
    part = datasets.Part(**{**told, "per_class": tuple(told["per_class"])})
    digests.check(part.digest, "a part of a dataset")
    group = given["role"], given["startUnixMs"], given["widthMs"], given["bits"]
    return group, Packed(bytes.fromhex(given["signature"]), part)


def _terms(task: LabelTask) -> str:
    """Equal as long as parts of one are parts of the other."""
    return f"{task.label_map} {catalogue.fitting(task.input)}"
