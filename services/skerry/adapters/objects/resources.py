"""Custom resources as Kubernetes writes them, and as our `Object`s: the two shapes, and where they lie in the API."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from skerry.adapters.objects.protocol import Json, Object, Stranger
from skerry.core import errors, writers

GROUP, VERSION = "skerry.dev", "v1alpha1"
MANAGER = "skerry-"  # begins the names of our field managers
CREATED = f"{GROUP}/created-unix-ms"  # annotation: of an object out of a backup, older than the API server knows
PLURALS: Mapping[str, str] = {kind: f"{kind.lower()}s" for kind in writers.CREATORS}


def path(namespace: str, kind: str, name: str = "", *, status: bool = False) -> str:
    """The URL path of a kind's collection, of one object, or of its status. Raises InputError for an unknown kind."""
    if kind not in PLURALS:
        raise errors.InputError(f"unknown kind {kind!r}: known are {', '.join(sorted(PLURALS))}")
    collection = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURALS[kind]}"
    return f"{collection}{f'/{name}' if name else ''}{'/status' if status else ''}"


def manifest(
    kind: str, name: str, spec: Json, labels: Mapping[str, str], *, created_unix_ms: int | None = None
) -> Json:
    """What is sent to create an object; `created_unix_ms` is when it was first made, of one out of a backup."""
    metadata: Json = {"name": name, "labels": dict(labels)} if labels else {"name": name}
    if created_unix_ms is not None:
        metadata["annotations"] = {CREATED: str(created_unix_ms)}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": metadata, "spec": spec}


def parse(kind: str, answer: Mapping[str, Any]) -> Object:
    """An object as the API gave it; a list's items do not say their kind."""
    metadata = answer["metadata"]
    return Object(
        kind=kind,
        name=metadata["name"],
        uid=metadata["uid"],
        spec=dict(answer.get("spec") or {}),
        status=dict(answer.get("status") or {}),
        labels=dict(metadata.get("labels") or {}),
        generation=int(metadata.get("generation", 1)),
        # Opaque by convention, but the API promises since 1.35 that it is a number that rises (KEP-5504).
        resource_version=int(metadata["resourceVersion"]),
        created_unix_ms=_created_unix_ms(metadata),
    )


def strangers(answer: Mapping[str, Any]) -> Sequence[Stranger]:
    """Who wrote an object past skerry, by its managed fields; the latest last."""
    found = [
        Stranger(str(one.get("manager", "")), _unix_ms(one["time"]), str(one.get("subresource") or "spec"))
        for one in answer["metadata"].get("managedFields", [])
        if one.get("time") and not str(one.get("manager", "")).startswith(MANAGER)
    ]
    return sorted(found, key=lambda one: one.at_unix_ms)


def _unix_ms(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)


def _created_unix_ms(metadata: Mapping[str, Any]) -> int:
    annotation = str((metadata.get("annotations") or {}).get(CREATED, ""))
    if annotation.isascii() and annotation.isdigit() and len(annotation) <= 15:
        return int(annotation)
    return _unix_ms(metadata["creationTimestamp"])
