"""Custom resources as Kubernetes writes them, and as our `Object`s: the two shapes, and where they lie in the API."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from skerry.adapters.objects.protocol import Json, Object
from skerry.core import errors, writers

GROUP, VERSION = "skerry.dev", "v1alpha1"
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


def _created_unix_ms(metadata: Mapping[str, Any]) -> int:
    annotation = str((metadata.get("annotations") or {}).get(CREATED, ""))
    if annotation.isascii() and annotation.isdigit() and len(annotation) <= 15:
        return int(annotation)
    return int(datetime.fromisoformat(metadata["creationTimestamp"]).timestamp() * 1000)
