"""Leadership: one acting controller at a time, and a rising epoch that fences what an old one still tries to write."""

import functools
from pathlib import Path

from skerry.adapters.lease.protocol import Lease
from skerry.core import errors, urls


def open_lease(objects_url: str, name: str) -> Lease:
    """The lease `name` that belongs to the object store at `objects_url`: a locked file beside `sqlite:///…`, a Lease
    `skerry-<name>` in the namespace of `kubernetes://…`.

    Raises InputError for a URL no lease is known for.
    """
    scheme, separator, path = objects_url.partition("://")
    if scheme == "kubernetes":
        return _kubernetes_lease(objects_url, name)
    if scheme != "sqlite" or not separator or not path.startswith("/"):
        raise errors.InputError(
            f"SKERRY_OBJECTS is {urls.without_secret(objects_url)!r}: a lease needs sqlite:///path/objects.db or kubernetes://<namespace>"
        )
    from skerry.adapters.lease import local

    return local.LocalLease(_folder(objects_url), name)


def begin_above(objects_url: str, name: str, epoch: int) -> None:
    """Let the next leader's epoch be higher than `epoch`, which objects out of a backup may name. In Kubernetes there
    is nothing to do: a Lease begins above what the objects name."""
    if not objects_url.startswith("kubernetes://"):
        from skerry.adapters.lease import local

        local.LocalLease(_folder(objects_url), name).begin_above(epoch)


def _folder(objects_url: str) -> Path:
    """Where the object store lies, and its leases with it."""
    return Path(urls.path_of(objects_url, "SKERRY_OBJECTS")).parent


def _kubernetes_lease(url: str, name: str) -> Lease:
    from skerry.adapters import kubernetes
    from skerry.adapters.lease import epochs
    from skerry.adapters.lease.kubernetes import KubernetesLease
    from skerry.adapters.objects.kubernetes import KubernetesObjects

    api = kubernetes.connect(url)
    return KubernetesLease(api, f"skerry-{name}", functools.partial(epochs.highest, KubernetesObjects(api)))
