"""Who may write which field of which custom resource: one manager per field, enforced by every object store.

People write intent through `skerry` or the dashboard (manager `operator`); each service writes only its own outcome.
The table is printed in docs/explanation/architecture.md and compared by a test.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from skerry.core import errors

OPERATOR, CONTROLLER, GATEWAY = "operator", "controller", "gateway"

# (kind, field path) -> manager; the longest matching path decides.
WRITERS: dict[tuple[str, str], str] = {
    ("EdgeModel", "spec"): OPERATOR,
    ("EdgeModel", "status"): CONTROLLER,
    ("ModelVersion", "spec"): CONTROLLER,
    ("ModelVersion", "status"): CONTROLLER,
    ("EdgeFleet", "spec"): OPERATOR,
    ("EdgeFleet", "status"): CONTROLLER,
    ("EdgeNode", "spec"): OPERATOR,
    ("EdgeNode", "spec.assignments"): CONTROLLER,
    ("EdgeNode", "status"): GATEWAY,
    ("ModelRollout", "spec"): OPERATOR,
    ("ModelRollout", "status"): CONTROLLER,
    ("TrainingRun", "spec"): OPERATOR,
    ("TrainingRun", "status"): CONTROLLER,
    ("JoinToken", "spec"): OPERATOR,
    ("JoinToken", "status"): GATEWAY,
    ("Exclusion", "spec"): OPERATOR,
    ("Exclusion", "status"): CONTROLLER,
    ("Erasure", "spec"): OPERATOR,
    ("Erasure", "status"): CONTROLLER,
    ("AuditRecord", "spec"): OPERATOR,
    ("AuditRecord", "status"): OPERATOR,
}

# Who may create an object of a kind besides its spec's writer: the controller proposes on behalf of a policy that a
# person wrote, the gateway enrols nodes, a person imports versions. After creation the table above holds.
CREATORS: dict[str, frozenset[str]] = {
    "EdgeModel": frozenset({OPERATOR}),
    "ModelVersion": frozenset({CONTROLLER, OPERATOR}),
    "EdgeFleet": frozenset({OPERATOR}),
    "EdgeNode": frozenset({GATEWAY}),
    "ModelRollout": frozenset({OPERATOR, CONTROLLER}),
    "TrainingRun": frozenset({OPERATOR, CONTROLLER}),
    "JoinToken": frozenset({OPERATOR}),
    "Exclusion": frozenset({OPERATOR}),
    "Erasure": frozenset({OPERATOR}),
    "AuditRecord": frozenset({OPERATOR}),
}


# Who may delete an object of a kind, where it is not people alone: the controller what has ended and is beyond what is
# kept; records of what people did it alone, once they are archived.
DELETERS: dict[str, frozenset[str]] = {
    "AuditRecord": frozenset({CONTROLLER}),
    "ModelRollout": frozenset({OPERATOR, CONTROLLER}),
    "TrainingRun": frozenset({OPERATOR, CONTROLLER}),
}


def writer_of(kind: str, path: str) -> str:
    """The one manager of `path` (like `spec.assignments`). Raises InputError for an unknown kind or field."""
    while True:
        if (kind, path) in WRITERS:
            return WRITERS[kind, path]
        if "." not in path:
            raise errors.InputError(f"{kind} has no field {path!r} that anybody may write")
        path = path.rsplit(".", 1)[0]


def check_patch(kind: str, manager: str, patch: Mapping[str, Any]) -> None:
    """Raise RejectedError unless `manager` owns every field that `patch` ({"spec": …, "status": …}) touches."""
    for path in _touched(kind, patch):
        owner = writer_of(kind, path)
        if owner != manager:
            raise errors.RejectedError(f"{manager} may not write {kind} {path}: only {owner} does")


def check_create(kind: str, manager: str) -> None:
    """Raise RejectedError unless `manager` may create objects of `kind`, InputError for an unknown kind."""
    if kind not in CREATORS:
        raise errors.InputError(f"unknown kind {kind!r}: known are {', '.join(sorted(CREATORS))}")
    if manager not in CREATORS[kind]:
        raise errors.RejectedError(f"{manager} may not create a {kind}: {' or '.join(sorted(CREATORS[kind]))} does")


def check_delete(kind: str, manager: str) -> None:
    """Raise RejectedError unless `manager` may delete objects of `kind`."""
    allowed = DELETERS.get(kind, frozenset({OPERATOR}))
    if manager not in allowed:
        raise errors.RejectedError(f"{manager} may not delete a {kind}: {' or '.join(sorted(allowed))} does")


def _touched(kind: str, patch: Mapping[str, Any]) -> Iterator[str]:
    """Each field the patch writes, as deep as the table distinguishes."""
    for top, value in patch.items():
        deeper = {path.split(".")[1] for k, path in WRITERS if k == kind and path.startswith(f"{top}.")}
        for field in value if deeper and isinstance(value, Mapping) else ():
            yield f"{top}.{field}"
        if not deeper or not isinstance(value, Mapping):
            yield top
