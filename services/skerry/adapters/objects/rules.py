"""What holds for every object store: names, sizes, writers, immutable specs, and how a patch becomes a new object."""

import json
from collections.abc import Mapping
from dataclasses import replace

from skerry.adapters.objects.protocol import Json, Object
from skerry.core import class_maps, errors, merging, names, writers
from skerry.core.specs import task
from skerry.core.specs.reader import Reader
from skerry.core.tasks import Classification

MAX_OBJECT_BYTES = 512 * 1024  # of spec and status together, as JSON
_TASK = "Classification"  # where a spec does not say it
# What an answer of a forecast consists of, with what holds where a spec does not say it: truths and rows that were kept
# have one number per step, and versions answer all quantiles.
_ANSWER_SHAPE: Mapping[str, object] = {"quantilesPermille": [100, 500, 900], "horizon": 1, "steps": 1}
_EVERY_VALUE = "every value would get another meaning"
IMMUTABLE_SPECS = frozenset({"ModelVersion", "Exclusion", "Erasure", "AuditRecord"})
APPEND_ONLY = frozenset({"AuditRecord"})  # written once, its status as well; a restore leaves what is there


def new_object(
    kind: str, name: str, spec: Json, manager: str, labels: Mapping[str, str] | None, uid: str, now_unix_ms: int
) -> Object:
    """A new object, its resource version still 0. Raises InputError or RejectedError."""
    writers.check_create(kind, manager)
    names.check(kind, name)
    thing = Object(kind, name, uid, encodable(kind, name, spec), {}, dict(labels or {}), 1, 0, now_unix_ms)
    _check_size(thing)
    return thing


def patched(
    thing: Object, manager: str, spec: Json | None, status: Json | None, resource_version: int | None
) -> Object:
    """The object after the patch, or the very same object when nothing changes.

    Raises ConflictError when `resource_version` is given and not the object's, RejectedError when `manager` does not
    own a touched field or the spec is immutable, InputError for classes in another order.
    """
    if resource_version is not None and resource_version != thing.resource_version:
        raise errors.ConflictError(
            f"{thing.kind} {thing.name} was written meanwhile (resourceVersion {thing.resource_version}, "
            f"not {resource_version}): read it again"
        )
    patch = {key: value for key, value in (("spec", spec), ("status", status)) if value is not None}
    writers.check_patch(thing.kind, manager, patch)
    new_spec = merging.merge(thing.spec, encodable(thing.kind, thing.name, spec or {}))
    new_status = merging.merge(thing.status, encodable(thing.kind, thing.name, status or {}))
    if new_spec != thing.spec and thing.kind in IMMUTABLE_SPECS:
        raise errors.RejectedError(f"the spec of {thing.kind} {thing.name} cannot be changed: make another one")
    if thing.status and new_status != thing.status and thing.kind in APPEND_ONLY:
        raise errors.RejectedError(f"the outcome of {thing.kind} {thing.name} is written and cannot be changed")
    _check_meaning(thing, new_spec)
    if new_spec == thing.spec and new_status == thing.status:
        return thing
    generation = thing.generation + (new_spec != thing.spec)
    changed = replace(thing, spec=new_spec, status=new_status, generation=generation)
    _check_size(changed)
    return changed


def check_delete(thing: Object, manager: str, resource_version: int | None) -> None:
    """Raises ConflictError where it was written since, RejectedError where another deletes such objects."""
    writers.check_delete(thing.kind, manager)
    if resource_version is not None and resource_version != thing.resource_version:
        raise errors.ConflictError(f"{thing.kind} {thing.name} was written meanwhile: it is not deleted")


def restored(thing: Object, uid: str) -> Object:
    """An object out of a backup, as a store may take it. Raises InputError: unknown kind, bad name, too large."""
    if thing.kind not in writers.CREATORS:
        raise errors.InputError(f"unknown kind {thing.kind!r}: this backup is of another version of skerry")
    names.check(thing.kind, thing.name)
    spec, status = (encodable(thing.kind, thing.name, part) for part in (thing.spec, thing.status))
    restored = replace(thing, uid=uid, spec=spec, status=status, labels=dict(thing.labels), generation=1)
    _check_size(restored)
    return restored


def encodable(kind: str, name: str, value: Json) -> Json:
    """A deep copy through JSON, so that nothing is stored that another reader would see differently."""
    try:
        copied: Json = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as exc:
        raise errors.InputError(f"{kind} {name} holds what JSON cannot say: {exc}") from exc
    return copied


def _check_meaning(thing: Object, spec: Json) -> None:
    """What an EdgeModel answers never means something else, as its schema says at an API server. Raises InputError."""
    if thing.kind != "EdgeModel":
        return
    if (was := thing.spec.get("task", _TASK)) != (now := spec.get("task", _TASK)):
        raise errors.InputError(
            f"EdgeModel {thing.name}: task is {was} and cannot become {now}: what clients are answered would mean "
            "something else; make another EdgeModel"
        )
    _check_forecast(thing, spec)
    _check_label_map(thing, spec)


def _check_forecast(thing: Object, spec: Json) -> None:
    before, after = thing.spec.get("forecast"), spec.get("forecast")
    if not isinstance(before, dict) or not isinstance(after, dict):
        return
    for field in ("target", "unit", "stepSeconds", *_ANSWER_SHAPE):
        was, now = (given.get(field, _ANSWER_SHAPE.get(field)) for given in (before, after))
        if was != now:
            meaning = "every answer would mean something else" if field in _ANSWER_SHAPE else _EVERY_VALUE
            raise errors.InputError(
                f"EdgeModel {thing.name}: forecast.{field} is {was!r} and cannot become {now!r}: {meaning}; make "
                "another EdgeModel"
            )


def _check_label_map(thing: Object, spec: Json) -> None:
    before, after = thing.spec.get("classNames"), spec.get("classNames")
    if not isinstance(before, list) or not isinstance(after, list):
        return
    now = _classes(thing.name, after, spec)
    try:
        was = _classes(thing.name, before, thing.spec)
    except errors.InputError:  # it was stored before anybody read it: this patch may be what mends it
        was = Classification(tuple(str(name) for name in before))
    if fault := class_maps.change_fault((was.former, was.class_names), (now.former, now.class_names)):
        raise errors.InputError(
            f"EdgeModel {thing.name}: {fault}; classNames may only be appended to, since another order would give "
            "every label another meaning: say in spec.classMap what became of each class (other classes are another "
            "model)"
        )


def _classes(model: str, names: list[object], spec: Json) -> Classification:
    """The classes of a spec. Raises InputError."""
    given = {"classNames": names} | ({"classMap": spec["classMap"]} if spec.get("classMap") else {})
    reader = Reader(f"EdgeModel {model}", "spec", given)
    found = reader.parsed(lambda read: task.task(read, "Classification", fewest_classes=0))
    assert isinstance(found, Classification)
    return found


def _check_size(thing: Object) -> None:
    size = len(json.dumps([thing.spec, thing.status]))
    if size > MAX_OBJECT_BYTES:
        raise errors.TooLargeError(
            f"{thing.kind} {thing.name} would have {size} bytes, more than the limit of {MAX_OBJECT_BYTES}"
        )
