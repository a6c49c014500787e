"""Leadership: one acting controller at a time, and a rising epoch that fences what an old one still tries to write."""

from pathlib import Path

from skerry.adapters.lease.protocol import Lease
from skerry.core import errors


def open_lease(objects_url: str, name: str) -> Lease:
    """The lease `name` that belongs to the object store at `objects_url` (`sqlite:///path/objects.db`).

    Raises InputError for a URL no lease is known for.
    """
    scheme, separator, path = objects_url.partition("://")
    if scheme != "sqlite" or not separator or not path.startswith("/"):
        raise errors.InputError(f"SKERRY_OBJECTS is {objects_url!r}: a lease needs sqlite:///path/objects.db")
    from skerry.adapters.lease import local

    return local.LocalLease(Path(path).parent, name)
