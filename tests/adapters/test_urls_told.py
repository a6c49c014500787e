"""URLs of stores that are refused: the error says which and why, and never repeats a password or key."""

import traceback
from collections.abc import Callable

import pytest

from skerry.adapters import blobs, lease, objects
from skerry.core import errors

SECRET = "not-for-logs"


@pytest.mark.parametrize(
    ("opened", "url"),
    [
        (blobs.open_shared, f"minio://KEY:{SECRET}@store.example.com/b"),
        (blobs.open_shared, f"file://KEY:{SECRET}@store.example.com/b"),
        (blobs.open_shared, f"s3://KEY:{SECRET}@"),
        (blobs.open_shared, f"s3://KEY:{SECRET}@[store/b"),
        (blobs.open_blobs, f"https://KEY:{SECRET}@gateway:8446/"),
        (objects.open_objects, f"postgres://app:{SECRET}@db/skerry"),
        (objects.open_objects, f"kubernetes://app:{SECRET}@skerry/path"),
        (lambda url: lease.open_lease(url, "controller"), f"redis://app:{SECRET}@redis/0"),
    ],
    ids=[
        "storage scheme",
        "storage host",
        "storage without bucket",
        "storage no URL",
        "door without ticket",
        "objects scheme",
        "cluster",
        "lease",
    ],
)
def test_a_refused_url_is_told_without_its_secret(opened: Callable[[str], object], url: str) -> None:
    with pytest.raises(errors.InputError) as caught:
        opened(url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert "***@" in str(caught.value)
