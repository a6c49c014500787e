"""Records of what people did move to the archive when they are old: none is lost, whenever the controller dies."""

import json
from pathlib import Path
from typing import Any

import pytest

from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.lease.memory import Board, MemoryLease
from skerry.adapters.objects.memory import MemoryObjects
from skerry.controller import audit_archive
from skerry.controller.store import Store
from skerry.core import audit

DAY_MS = 86_400_000
NOW = 1_796_000_000_000
JO = audit.Actor("jo")


class Dies(BaseException):
    """As a killed process."""


class Writes:
    """Counts what is written or deleted, and dies before the n-th."""

    def __init__(self, left: int) -> None:
        self.left = left

    def before(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Dies


class CountedObjects(MemoryObjects):
    def __init__(self) -> None:
        super().__init__()
        self.deadly = Writes(0)

    def delete(self, *args: Any, **kwargs: Any) -> None:
        self.deadly.before()
        super().delete(*args, **kwargs)


class CountedBlobs(DirectoryBlobs):
    deadly = Writes(0)

    def write(self, path: str, data: bytes) -> None:
        self.deadly.before()
        super().write(path, data)


def filled() -> CountedObjects:
    objects = CountedObjects()
    for number, days in enumerate((100, 95, 91, 89, 1)):
        at_ms = NOW - days * DAY_MS
        spec = audit.spec(JO, "cordon", "EdgeNode", f"edge-{number}", at_unix_ms=at_ms)
        objects.create(audit.KIND, audit.name(at_ms, f"{number:08x}"), spec, manager="operator")
    return objects


def look(objects: MemoryObjects, blobs: DirectoryBlobs) -> None:
    lease = MemoryLease(Board())
    lease.acquire("test")
    audit_archive.AuditArchive(Store(objects, lease), blobs, keep_days=90).look(now_ms=NOW, mono_ms=0)


def told(objects: MemoryObjects, blobs: DirectoryBlobs) -> tuple[set[str], set[str]]:
    """(objects, records in the archive), each by the node that it is about."""
    here = {str(one.spec["object"]) for one in objects.list(audit.KIND)}
    lines = [line for path in blobs.list("audit") for line in blobs.read(path, max_bytes=1 << 20).splitlines()]
    return here, {json.loads(line)["object"] for line in lines}


@pytest.mark.parametrize("death", range(5))
def test_old_records_move_to_the_archive_whenever_the_controller_dies(tmp_path: Path, death: int) -> None:
    objects, blobs = filled(), CountedBlobs(tmp_path)
    objects.deadly = blobs.deadly = Writes(death)
    if death:
        with pytest.raises(Dies):
            look(objects, blobs)
        here, archived = told(objects, blobs)
        assert here | archived == {f"edge-{number}" for number in range(5)}
    look(objects, blobs)
    assert told(objects, blobs) == ({"edge-3", "edge-4"}, {"edge-0", "edge-1", "edge-2"})


def test_at_rest_it_looks_once_an_hour_at_so_many(tmp_path: Path) -> None:
    asked: list[int] = []

    class Objects(MemoryObjects):
        def list(self, kind: str, *, limit: int = 0, label: tuple[str, str] | None = None) -> Any:
            asked.append(limit)
            return super().list(kind, limit=limit, label=label)

    lease = MemoryLease(Board())
    lease.acquire("test")
    archive = audit_archive.AuditArchive(Store(Objects(), lease), DirectoryBlobs(tmp_path), keep_days=90)
    for minute in range(121):
        archive.look(now_ms=NOW, mono_ms=minute * 60_000)
    assert asked == [500] * 3
