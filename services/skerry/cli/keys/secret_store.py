"""Where an installation's secrets are put: a cluster's Secrets, or YAML files for people who apply them by hand."""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml

from skerry.adapters import files
from skerry.adapters.kubernetes import Api
from skerry.cli import text_file
from skerry.core import errors

_TLS = {"tls.crt", "tls.key"}
_LABELS = {"app.kubernetes.io/part-of": "skerry", "app.kubernetes.io/managed-by": "skerry"}


class SecretStore(Protocol):
    """Secrets by name: files by name."""

    def get(self, name: str) -> Mapping[str, bytes] | None: ...

    def create(self, name: str, data: Mapping[str, bytes]) -> None:
        """Raises ConflictError when it was made meanwhile."""
        ...


class Cluster:
    """Secrets of the namespace that `api` names."""

    def __init__(self, api: Api) -> None:
        self._api, self._path = api, f"/api/v1/namespaces/{api.namespace}/secrets"

    def get(self, name: str) -> Mapping[str, bytes] | None:
        try:
            return _data(name, self._api.get(f"{self._path}/{name}"))
        except errors.NotFoundError:
            return None

    def create(self, name: str, data: Mapping[str, bytes]) -> None:
        try:
            self._api.create(self._path, _manifest(name, data))
        except errors.ConflictError as exc:
            raise errors.ConflictError(f"Secret {name} was created by another process meanwhile: run it again") from exc


class Folder:
    """`<folder>/<name>.yaml`, readable by their owner alone."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self._folder, self._namespace = folder, namespace

    def get(self, name: str) -> Mapping[str, bytes] | None:
        path = self._folder / f"{name}.yaml"
        try:
            return _data(name, text_file.read_yaml(path))
        except errors.NotFoundError:
            return None

    def create(self, name: str, data: Mapping[str, bytes]) -> None:
        manifest = _manifest(name, data)
        manifest["metadata"]["namespace"] = self._namespace
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write(self._folder / f"{name}.yaml", yaml.safe_dump(manifest, sort_keys=False).encode(), mode=0o600)


def _manifest(name: str, data: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": dict(_LABELS)},
        "type": "kubernetes.io/tls" if set(data) >= _TLS else "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in sorted(data.items())},
    }


def _data(name: str, manifest: Any) -> Mapping[str, bytes]:
    try:
        encoded = manifest.get("data") or {}
        return {str(key): base64.b64decode(value, validate=True) for key, value in encoded.items()}
    except (AttributeError, TypeError, binascii.Error) as exc:
        raise errors.InputError(f"Secret {name} cannot be read: {exc}") from exc
