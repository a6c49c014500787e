"""What a dataset is: a manifest that names parts by digest, the arrays of a part, and which rows are holdout for ever.

Reading and writing blobs is the callers' business; here are only the bounds, the checks and the bytes. A manifest is
canonical JSON and its digest is the dataset's name; nothing trains on a part whose role is `holdout`.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from skerry.core import digests, errors, json_fields, names, tensors
from skerry.core.specs import task
from skerry.core.specs.reader import Reader
from skerry.core.tasks import Classification, Task

SCHEMA = 2
READABLE_SCHEMAS = (1, 2)  # 1: rows name neither their node nor their label map
MAX_MANIFEST_BYTES = 4 << 20
MAX_PARTS = 4096
MAX_NODES = 20_000
MAX_RANK = 8
MAX_ROW_BYTES = 32 << 20
HOLDOUT_ONE_IN = 5
OVER_BUDGET = "overBudget"  # in `dropped`: captured rows left out because there is a bound on bytes

# A row is numbers: texts come as token ids.
DTYPES: Mapping[str, np.dtype[Any]] = {
    name: dtype for name, dtype in tensors.DTYPES.items() if name not in ("BYTES", "BF16")
}

Role = Literal["train", "holdout"]
Origin = Literal["imported", "captured"]
_ROLES, _ORIGINS = ("train", "holdout"), ("imported", "captured")


@dataclass(frozen=True, slots=True)
class Input:
    """One row as callers send it: `shape` has no batch axis."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        return DTYPES[self.datatype]

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Part:
    """One npz of rows. `per_class` counts the rows by class (hard label, else the likeliest soft one). `label_map`: the
    digest of what its labels count in where that is a former map of the dataset's; empty: the dataset's own, or a
    beginning of it. `may_leave`: who imported its rows said that they may go to nodes, whatever the model's privacy."""

    role: Role
    origin: Origin
    digest: str
    samples: int
    per_class: tuple[int, ...]
    label_map: str = ""
    may_leave: bool = False

    def counted_in(self, task: Task, before: Task) -> "Part":
        """The same part of a dataset of `before` in one of `task`, which can read it. Rows of a class that was removed
        are in no count."""
        meanings, counts = task.meanings(before.digest) or (), [0] * len(task.class_names)
        for rows, index in zip(self.per_class, meanings, strict=False):
            if index >= 0:
                counts[index] += rows
        is_former = list(meanings) != list(range(len(meanings)))
        label_map = self.label_map or (before.digest if is_former else "")
        return replace(self, per_class=tuple(counts), label_map=label_map)


@dataclass(frozen=True, slots=True)
class NodeRows:
    """What one node gave to a dataset: captured rows by role; beyond them those that were left out because it would
    weigh too much, and those that wait for a person, since nobody else has their class. `truths` of it can be compared
    with what the teacher says, `contradicting` of them say something else; `set_aside` of these do not count, and
    `outlier` says why, for people. `trusted`: by a person, so nothing of it is bounded."""

    train: int
    holdout: int
    left_out: int = 0
    waiting: int = 0
    truths: int = 0
    contradicting: int = 0
    set_aside: int = 0
    outlier: str = ""
    trusted: bool = False

    def to_json(self) -> dict[str, int | str | bool]:
        return {
            "train": self.train,
            "holdout": self.holdout,
            "leftOut": self.left_out,
            "waiting": self.waiting,
            "truths": self.truths,
            "contradicting": self.contradicting,
            "setAside": self.set_aside,
            "outlier": self.outlier,
            "trusted": self.trusted,
        }


@dataclass(frozen=True, slots=True)
class DatasetManifest:
    """Everything a run may know of its data before it reads a part. `nodes`: what each node gave; captured
    rows that an earlier release packed name no node and are in none of them. `fleet`: how many nodes there were."""

    model: str
    task: Task
    input: Input
    parts: tuple[Part, ...]
    parents: tuple[str, ...] = ()
    created_unix_ms: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    nodes: Mapping[str, NodeRows] = field(default_factory=dict)
    fleet: int = 0

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.task.class_names

    @property
    def label_map(self) -> str:
        """What its labels count in: the digest of the class names in their order, or of what is forecast."""
        return self.task.digest

    def to_json(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, UTF-8. The same dataset is the same bytes."""
        document = {
            "schema": SCHEMA,
            "model": self.model,
            **_task_json(self.task),
            "labelMap": self.label_map,
            "input": {"name": self.input.name, "datatype": self.input.datatype, "shape": list(self.input.shape)},
            "parts": [
                {
                    "role": part.role,
                    "origin": part.origin,
                    "digest": part.digest,
                    "samples": part.samples,
                    "perClass": list(part.per_class),
                    **({"labelMap": part.label_map} if part.label_map else {}),
                    **({"mayLeave": True} if part.may_leave else {}),
                }
                for part in self.parts
            ],
            "parents": list(self.parents),
            "createdUnixMs": self.created_unix_ms,
            "dropped": dict(self.dropped),
            "nodes": {node: rows.to_json() for node, rows in self.nodes.items()},
            "fleet": self.fleet,
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "DatasetManifest":
        """Parse and check. Raises TooLargeError, or InputError that names the field and what it should be."""
        if len(data) > MAX_MANIFEST_BYTES:
            raise errors.TooLargeError(f"dataset manifest of {len(data)} bytes: at most {MAX_MANIFEST_BYTES} are read")
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as exc:
            raise errors.InputError(f"dataset manifest is not JSON: {exc}") from exc
        read = json_fields.Fields(document, "dataset manifest")
        schema = read.integer("schema", 1, 1 << 31)
        if schema not in READABLE_SCHEMAS:
            raise errors.InputError(
                f"dataset manifest: schema must be at most {SCHEMA}; this one is newer than this skerry"
            )
        answered = _task(document)
        if schema > 1 and read.text("labelMap") != answered.digest:
            raise errors.InputError("dataset manifest: labelMap is not the digest of classNames, or of the forecast")
        return cls(
            model=read.text("model"),
            task=answered,
            input=_input(read.reader("input")),
            parts=tuple(_part(entry, len(answered.class_names)) for entry in read.readers("parts", MAX_PARTS)),
            parents=tuple(
                digests.check(parent, "dataset manifest: parents") for parent in read.texts("parents", 0, MAX_PARTS)
            ),
            created_unix_ms=read.integer("createdUnixMs", 0, 1 << 53),
            dropped=read.tallies("dropped"),
            nodes=_nodes(read) if schema > 1 else {},
            fleet=read.integer("fleet", 0, 1 << 31) if schema > 1 else 0,
        )

    def grown(self, task: Task) -> "DatasetManifest":
        """The same dataset under the task, whose label map is equal, appended to, or mapped from this one. Raises
        InputError for any other."""
        if fault := task.cannot_read(self.task):
            may = "; classes may only be added at the end, or mapped by classMap" if task.class_names else ""
            raise errors.InputError(f"dataset of {self.model}: {fault}{may}: import the data again")
        parts = tuple(part.counted_in(task, self.task) for part in self.parts)
        return replace(self, task=task, parts=parts)

    def select(self, role: Role, origin: Origin | None = None) -> tuple[Part, ...]:
        """The parts of a role, and of an origin when one is named."""
        return tuple(part for part in self.parts if part.role == role and origin in (None, part.origin))

    @property
    def captured(self) -> int:
        """Rows captured so far: those in parts, and older ones that had to make room for them."""
        rows = sum(part.samples for part in self.parts if part.origin == "captured")
        return rows + self.dropped.get(OVER_BUDGET, 0)

    def samples(self, role: Role, origin: Origin | None = None) -> int:
        return sum(part.samples for part in self.select(role, origin))


def input_digest(row: NDArray[Any]) -> str:
    """64 hex digits that are equal exactly for equal rows: datatype, shape and little-endian bytes as callers sent
    them. What came in twice is stored and counted once."""
    row = np.ascontiguousarray(row, dtype=row.dtype.newbyteorder("<"))
    head = f"{row.dtype.str}{list(row.shape)}".encode()
    return hashlib.sha256(head + b"\0" + row.tobytes()).hexdigest()


def is_holdout(digest: str) -> bool:
    """Does the captured row with this `input_digest` belong to the holdout? The answer never changes."""
    return int(digest[:8], 16) % HOLDOUT_ONE_IN == 0


def _task_json(answered: Task) -> dict[str, Any]:
    """`task` is left out for classes: datasets of earlier releases keep their digests."""
    named = {} if isinstance(answered, Classification) else {"task": answered.name}
    return named | answered.to_json()


def _task(document: Mapping[str, Any]) -> Task:
    given = {key: document[key] for key in ("task", "classNames", "classMap", "forecast") if key in document}
    reader = Reader("dataset manifest", "dataset", given)
    return reader.parsed(lambda read: task.task(read, "Classification", fewest_classes=1))


def _input(read: json_fields.Fields) -> Input:
    datatype = read.text("datatype")
    if datatype not in DTYPES:
        raise errors.InputError(f"{read.where}.datatype: {datatype!r} is not one of {', '.join(DTYPES)}")
    shape = tuple(read.integers("shape", MAX_RANK, 1, MAX_ROW_BYTES))
    row = Input(read.text("name"), datatype, shape)
    if row.row_bytes > MAX_ROW_BYTES:
        raise errors.TooLargeError(f"{read.where}: one row has {row.row_bytes} bytes, at most {MAX_ROW_BYTES} do")
    return row


def _nodes(read: json_fields.Fields) -> dict[str, NodeRows]:
    found = read.objects("nodes", MAX_NODES)
    for node in found:
        names.check("EdgeNode", node)
    return {node: _node_rows(rows) for node, rows in found.items()}


def _node_rows(read: json_fields.Fields) -> NodeRows:
    keys = ("train", "holdout", "leftOut", "waiting", "truths", "contradicting", "setAside")
    train, holdout, left_out, waiting, truths, contradicting, set_aside = (
        read.integer(key, 0, 1 << 40) for key in keys
    )
    return NodeRows(
        train,
        holdout,
        left_out,
        waiting,
        truths,
        contradicting,
        set_aside,
        read.optional_text("outlier"),
        read.flag("trusted"),
    )


def _part(read: json_fields.Fields, classes: int) -> Part:
    role, origin = read.text("role"), read.text("origin")
    if role not in _ROLES or origin not in _ORIGINS:
        raise errors.InputError(f"{read.where}: role is {' or '.join(_ROLES)}, origin {' or '.join(_ORIGINS)}")
    samples = read.integer("samples", 0, 1 << 40)
    per_class = tuple(read.integers("perClass", classes, 0, 1 << 40))
    if len(per_class) != classes or sum(per_class) > samples:
        raise errors.InputError(f"{read.where}: perClass must have {classes} counts that add up to samples at most")
    digest = digests.check(read.text("digest"), f"{read.where}.digest")
    counted = digests.check(read.text("labelMap"), f"{read.where}.labelMap") if read.has("labelMap") else ""
    may_leave = read.has("mayLeave") and read.flag("mayLeave")
    if may_leave and origin != "imported":
        raise errors.InputError(f"{read.where}: mayLeave is of imported rows")
    return Part(role, origin, digest, samples, per_class, counted, may_leave)  # type: ignore[arg-type]  # were checked
