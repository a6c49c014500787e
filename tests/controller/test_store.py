"""The controller's writes: only differences, only against what was read, only while it leads."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.adapters.lease import memory as lease_memory
from skerry.adapters.objects import memory as objects_memory
from skerry.controller import store
from skerry.core import errors, merging, writers

scalars = st.one_of(st.booleans(), st.integers(-3, 3), st.text("ab", max_size=2))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("xyz"), inner)),
    max_leaves=8,
)
statuses = st.dictionaries(st.sampled_from("abc"), st.one_of(values, st.none()), max_size=3)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


@given(statuses, statuses)
def test_the_difference_is_a_merge_patch_from_old_to_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    old = without_nulls(old)
    assert merging.merge(old, store.difference(old, new)) == without_nulls(new)


@given(statuses)
def test_the_difference_to_itself_is_nothing(status: dict[str, Any]) -> None:
    status = without_nulls(status)
    assert store.difference(status, status) == {}


def opened() -> tuple[objects_memory.MemoryObjects, lease_memory.MemoryLease, store.Store]:
    objects, lease = objects_memory.MemoryObjects(), lease_memory.MemoryLease(lease_memory.Board())
    lease.acquire("test")
    objects.create("TrainingRun", "run-1", {"model": "digits"}, manager=writers.OPERATOR)
    return objects, lease, store.Store(objects, lease)


def test_an_equal_status_writes_nothing() -> None:
    objects, _, writing = opened()
    run = writing.put_status(writing.get("TrainingRun", "run-1"), {"a": {"b": 1}})
    writes = objects.writes
    assert writing.put_status(run, {"a": {"b": 1}}) == run
    assert objects.writes == writes


def test_nulls_in_lists_are_no_difference() -> None:
    """The Kubernetes API keeps none: an object would be written in every round for ever."""
    objects, _, writing = opened()
    run = writing.put_status(writing.get("TrainingRun", "run-1"), {"gates": [{"name": "size", "value": None}, None]})
    assert run.status["gates"] == [{"name": "size"}, None]
    writes = objects.writes
    writing.put_status(run, {"gates": [{"name": "size", "value": None}, None]})
    assert objects.writes == writes


def test_a_status_is_replaced_whole() -> None:
    _, _, writing = opened()
    run = writing.put_status(writing.get("TrainingRun", "run-1"), {"a": {"b": 1, "c": 2}, "d": 3})
    assert writing.put_status(run, {"a": {"c": 2}}).status == {"a": {"c": 2}, "observedGeneration": 1}


def test_a_write_against_what_somebody_else_changed_is_a_conflict() -> None:
    _, _, writing = opened()
    run = writing.get("TrainingRun", "run-1")
    writing.put_status(run, {"a": 1})
    with pytest.raises(errors.ConflictError):
        writing.put_status(run, {"a": 2})


@pytest.mark.parametrize("write", ["status", "spec", "create"])
def test_whoever_lost_the_lease_writes_nothing(write: str) -> None:
    objects, lease, writing = opened()
    run = writing.get("TrainingRun", "run-1")
    lease.release()
    writes = objects.writes
    acts = {
        "status": lambda: writing.put_status(run, {"a": 1}),
        "spec": lambda: writing.put_spec(run, {"model": "other"}),
        "create": lambda: writing.create("TrainingRun", "run-2", {}),
    }
    with pytest.raises(store.LeadershipLostError):
        acts[write]()
    assert objects.writes == writes


def test_only_changed_fields_of_a_spec_are_sent() -> None:
    objects = objects_memory.MemoryObjects()
    lease = lease_memory.MemoryLease(lease_memory.Board())
    lease.acquire("test")
    objects.create("EdgeNode", "edge-1", {"labels": {}}, manager=writers.GATEWAY)
    writing = store.Store(objects, lease)
    node = writing.put_spec(writing.get("EdgeNode", "edge-1"), {"assignments": [{"model": "m"}]})
    assert node.spec == {"labels": {}, "assignments": [{"model": "m"}]}
    writes = objects.writes
    writing.put_spec(node, {"assignments": [{"model": "m"}]})
    assert objects.writes == writes
