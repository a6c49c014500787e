"""Custom resources: opening their store by URL."""

from pathlib import Path
from urllib.parse import urlsplit

from skerry.adapters.objects.protocol import Change, Object, Objects
from skerry.core import errors

__all__ = ["Change", "Object", "Objects", "open_objects"]


def open_objects(url: str) -> Objects:
    """`sqlite:///path/objects.db` or `kubernetes://<namespace>`. Raises InputError for anything else."""
    parts = urlsplit(url)
    if parts.scheme == "kubernetes":
        from skerry.adapters import kubernetes
        from skerry.adapters.objects.kubernetes import KubernetesObjects

        return KubernetesObjects(kubernetes.connect(url))
    if parts.scheme != "sqlite" or not parts.path:
        raise errors.InputError(
            f"object store {url!r} must be sqlite:///path/to/objects.db or kubernetes://<namespace>"
        )
    from skerry.adapters.objects.sqlite import SqliteObjects

    return SqliteObjects(Path(parts.path))
