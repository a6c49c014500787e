"""Custom resources: opening their store by URL."""

from pathlib import Path
from typing import TYPE_CHECKING

from skerry.adapters.objects.protocol import Change, Object, Objects, Restorer
from skerry.core import errors, urls

if TYPE_CHECKING:
    from skerry.adapters.objects.kubernetes import KubernetesObjects
    from skerry.adapters.objects.sqlite import SqliteObjects

__all__ = ["Change", "Object", "Objects", "Restorer", "open_objects", "open_restorer", "silent_s"]


def open_objects(url: str) -> Objects:
    """`sqlite:///path/objects.db` or `kubernetes://<namespace>`. Raises InputError for anything else."""
    return _open(url)


def silent_s(opened: Objects) -> float:
    """Seconds since the quietest watch behind these objects heard anything; 0 where none is needed."""
    silent: float = getattr(opened, "silent_s", 0.0)
    return silent


def open_restorer(url: str) -> Restorer:
    """As `open_objects`, for a restore: every field may be written, so hold the controller's lease meanwhile."""
    return _open(url)


def _open(url: str) -> "KubernetesObjects | SqliteObjects":
    parts = urls.split(url, "object store")
    if parts.scheme == "kubernetes":
        from skerry.adapters import kubernetes
        from skerry.adapters.objects.kubernetes import KubernetesObjects

        return KubernetesObjects(kubernetes.connect(url))
    if parts.scheme != "sqlite" or not parts.path:
        raise errors.InputError(
            f"object store {urls.without_secret(url)!r} must be sqlite:///path/to/objects.db or kubernetes://<namespace>"
        )
    from skerry.adapters.objects.sqlite import SqliteObjects

    return SqliteObjects(Path(urls.path_of(url, "object store")))
