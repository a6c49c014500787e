"""What a node shall run, as its gateway sends it: from its assignments and the models' policies, whole and fenced."""

from typing import Any

import pytest

from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import specs
from skerry.gateway.desired import KINDS, View
from skerry.proto import fleet_pb2

DIGEST = "sha256:" + "ab" * 32
ASSIGNMENT: dict[str, Any] = {
    "model": "digits",
    "digest": DIGEST,
    "version": 3,
    "targetPath": "retrained/digits/3",
    "rollout": "digits-v3-a",
    "attempt": 2,
    "rollback": True,
    "permit": {"number": 5, "ttlMs": 30_000, "request": 17, "epoch": 4},
}
MODEL = {"classNames": ["a", "b"], "input": {"name": "x", "datatype": "UINT8", "shape": [2]}}


class World:
    """An object store and the view of it."""

    def __init__(self) -> None:
        self.objects, self.view = MemoryObjects(), View()
        self.objects.create("EdgeNode", "north", {"labels": {}}, manager="gateway")
        self.objects.create("EdgeModel", "digits", {**MODEL, "offload": {"targetRatePermille": 50}}, manager="operator")
        self.look()

    def look(self) -> frozenset[str] | None:
        return self.view.apply(*self.objects.changes(self.view.revision, timeout_s=0, kinds=KINDS))

    def assign(self, *assignments: Any) -> None:
        self.objects.patch("EdgeNode", "north", spec={"assignments": list(assignments)}, manager="controller")


def test_an_assignment_goes_out_with_its_permit_and_its_models_policy() -> None:
    world = World()
    world.assign(ASSIGNMENT)
    assert world.look() == {"north"}
    state = world.view.desired("north")
    assert state == fleet_pb2.DesiredState(
        revision=3,
        epoch=4,
        assignments=[
            fleet_pb2.Assignment(
                model="digits",
                digest=DIGEST,
                version=3,
                target_path="retrained/digits/3",
                rollout="digits-v3-a",
                attempt=2,
                rollback=True,
                permit=fleet_pb2.Permit(number=5, ttl_ms=30_000, request=17, epoch=4),
                offload_json=b'{"targetRatePermille":50}',
            )
        ],
    )
    assert specs.parse_offload({"targetRatePermille": 50}).target_rate_permille == 50


def test_nodes_are_told_of_which_residuals_to_warn_and_that_they_are_not_to_any_more() -> None:
    world = World()
    world.assign(ASSIGNMENT)
    world.look()
    assert world.view.desired("north").assignments[0].warn_json == b""
    world.objects.patch("EdgeModel", "digits", spec={"warn": {"residualAbove": 3}}, manager="operator")
    assert world.look() is None, "it concerns all nodes"
    assert world.view.desired("north").assignments[0].warn_json == b'{"residualAbove":3}'
    world.objects.patch("EdgeModel", "digits", spec={"warn": {"residualAbove": "hot"}}, manager="operator")
    world.look()
    assert world.view.desired("north").assignments[0].warn_json == b'{"residualAbove":3}', "it cannot be read"
    world.objects.patch("EdgeModel", "digits", spec={"warn": None}, manager="operator")
    world.look()
    assert world.view.desired("north").assignments[0].warn_json == b""


def test_without_a_permit_a_node_only_stages() -> None:
    world = World()
    world.assign(ASSIGNMENT | {"permit": None})
    world.look()
    assert not world.view.desired("north").assignments[0].HasField("permit")


def test_a_node_that_nobody_assigned_anything_gets_an_empty_state() -> None:
    assert list(World().view.desired("elsewhere").assignments) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda o: o.patch("EdgeNode", "north", status={"connected": True}, manager="gateway"), frozenset(),
                     id="a status wakes nobody"),
        pytest.param(lambda o: o.patch("EdgeNode", "north", spec={"labels": {"a": "b"}}, manager="operator"),
                     frozenset(), id="a label wakes nobody"),
        pytest.param(lambda o: o.patch("EdgeNode", "north", spec={"assignments": [ASSIGNMENT]}, manager="controller"),
                     frozenset({"north"}), id="an assignment wakes its node"),
        pytest.param(lambda o: o.patch("EdgeModel", "digits", spec={"offload": {"burst": 1}}, manager="operator"), None,
                     id="a policy wakes all"),
        pytest.param(lambda o: o.patch("EdgeModel", "digits", spec={"retention": 4}, manager="operator"), frozenset(),
                     id="another field of a model wakes nobody"),
        pytest.param(lambda o: o.delete("EdgeNode", "north"), frozenset({"north"}), id="a deleted node is told"),
    ],
)  # fmt: skip
def test_who_is_woken_by_a_change(change: Any, expected: Any) -> None:
    world = World()
    change(world.objects)
    assert world.look() == expected


def test_assignments_that_cannot_be_read_leave_the_node_what_it_has() -> None:
    world = World()
    world.assign(ASSIGNMENT)
    world.look()
    before = world.view.desired("north")
    world.assign(ASSIGNMENT | {"digest": "none"})
    assert world.look() == frozenset()
    assert world.view.desired("north").assignments == before.assignments


def test_a_policy_that_cannot_be_read_leaves_nodes_the_one_they_have() -> None:
    world = World()
    world.assign(ASSIGNMENT)
    world.objects.patch("EdgeModel", "digits", spec={"offload": {"burts": 1}}, manager="operator")
    world.look()
    assert world.view.desired("north").assignments[0].offload_json == b'{"targetRatePermille":50}'


def test_the_epoch_is_the_highest_that_any_object_names_and_never_falls() -> None:
    world = World()
    world.objects.create("ModelRollout", "digits-v3-a", {}, manager="controller")
    world.objects.patch("ModelRollout", "digits-v3-a", status={"epoch": 9}, manager="controller")
    assert world.look() is None
    world.assign(ASSIGNMENT)
    world.objects.delete("ModelRollout", "digits-v3-a")
    world.look()
    assert world.view.desired("north").epoch == 9
