"""What a watch brings back of a process's own writes costs it nothing: no object is parsed, nobody is woken for it."""

from collections.abc import Callable
from typing import Any

import pytest

from skerry.adapters.objects import cache, resources
from skerry.adapters.objects.protocol import Object


def manifest(version: int, *, connected: bool = True) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "cam-7", "uid": "u1", "resourceVersion": str(version), "creationTimestamp": "2026-11-30T00:00:00Z",
        },
        "spec": {},
        "status": {"connected": connected},
    }  # fmt: skip


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The resource versions that were parsed."""
    found: list[int] = []
    real: Callable[..., Object] = resources.parse

    def counted(kind: str, answer: Any) -> Object:
        found.append(int(answer["metadata"]["resourceVersion"]))
        return real(kind, answer)

    monkeypatch.setattr(resources, "parse", counted)
    return found


def test_the_echo_of_a_write_is_neither_parsed_nor_told(parsed: list[int]) -> None:
    known = cache.Cache()
    sink = cache.KindSink(known, "EdgeNode")
    sink.put(manifest(1))
    for version in range(2, 102):
        known.put(resources.parse("EdgeNode", manifest(version)))  # what the API server answered to a write
    _, step = known.changes(0, 0.0, ("EdgeNode",))
    parsed.clear()
    for version in range(2, 102):
        sink.put(manifest(version))
    assert parsed == []
    assert known.changes(step, 0.0, ("EdgeNode",)) == ([], step)


def test_what_others_wrote_is_taken_in(parsed: list[int]) -> None:
    known = cache.Cache()
    sink = cache.KindSink(known, "EdgeNode")
    sink.put(manifest(1))
    sink.put(manifest(2, connected=False))
    assert parsed == [1, 2]
    assert known.get("EdgeNode", "cam-7").status == {"connected": False}  # type: ignore[union-attr]


def test_an_object_that_was_deleted_and_made_again_is_taken_in(parsed: list[int]) -> None:
    known = cache.Cache()
    sink = cache.KindSink(known, "EdgeNode")
    sink.put(manifest(1))
    sink.remove(manifest(2))
    assert known.get("EdgeNode", "cam-7") is None
    sink.put(manifest(3))
    assert known.get("EdgeNode", "cam-7") is not None


def test_a_history_that_began_again_after_a_restore_is_taken_in(parsed: list[int]) -> None:
    known = cache.Cache()
    sink = cache.KindSink(known, "EdgeNode")
    sink.put(manifest(100))
    sink.replace([manifest(5, connected=False)], "5", restored=True)
    sink.put(manifest(6))
    assert parsed == [100, 5, 6]
    assert known.get("EdgeNode", "cam-7").resource_version == 6  # type: ignore[union-attr]
