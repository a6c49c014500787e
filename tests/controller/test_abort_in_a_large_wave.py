"""People are heeded in the largest wave: what is given later than five seconds after an abort or a pause is nothing."""

from typing import Any

import pytest

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.lease.memory import Board, MemoryLease
from skerry.adapters.objects.memory import MemoryObjects
from skerry.controller import assigning, rollouts
from skerry.controller.store import Store
from skerry.controller.view import View
from skerry.core import writers

NODES = 400
WRITE_S = 0.1  # an API server under load, and one write at a time: forty seconds for the fleet
V1, V2 = (f"sha256:{number:064x}" for number in (1, 2))
AVAILABLE = {"type": "Available", "status": "True", "reason": "X", "message": "", "lastTransitionTime": ""}


class Slow(MemoryObjects):
    """Each write of the controller to a node takes WRITE_S of `now_s`; `granted` says when each permit for V2 came."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.granted: list[float] = []
        self.begun = False

    def patch(self, kind: str, name: str, **options: Any) -> Any:
        written = super().patch(kind, name, **options)
        if kind == "EdgeNode" and options["manager"] == writers.CONTROLLER and self.begun:
            self.now_s += WRITE_S
            given = written.spec["assignments"][0]
            if given["digest"] == V2 and "permit" in given:
                self.granted.append(self.now_s)
        return written


class Fleet:
    """All nodes staged and asking, in one wave that may swap at once."""

    def __init__(self) -> None:
        self.objects = Slow()
        lease = MemoryLease(Board())
        lease.acquire("test")
        self.store = Store(self.objects, lease, view=View(self.objects))
        self.rollouts = rollouts.Rollouts(self.store, MemoryFleetState(), 1)
        self.rollouts._assigning = assigning.Assigning(self.store, 1, lambda: self.objects.now_s)
        make = self.objects.create
        make("EdgeFleet", "all", {"maxUnavailable": "100%", "offlineAfterSeconds": 86400}, manager=writers.OPERATOR)
        make("EdgeModel", "m", {"classNames": ["a", "b"]}, manager=writers.OPERATOR)
        self.objects.patch("EdgeModel", "m", manager=writers.CONTROLLER, status={"stableVersion": "m-v1"})
        for number, digest in ((1, V1), (2, V2)):
            spec = {"model": "m", "version": number, "digest": digest, "targetPath": f"retrained/m/{number}"}
            spec |= {"source": "Trained", "sizeBytes": 1}
            make("ModelVersion", f"m-v{number}", spec, manager=writers.CONTROLLER)
            self.objects.patch(
                "ModelVersion", f"m-v{number}", manager=writers.CONTROLLER, status={"conditions": [AVAILABLE]}
            )
        wave = {"name": "all", "size": "100%"}
        make(
            "ModelRollout", "r", {"model": "m", "version": "m-v2", "fleet": "all", "waves": [wave]}, manager="operator"
        )
        for number in range(NODES):
            make("EdgeNode", f"n{number:03}", {}, manager=writers.GATEWAY)
            self.report(f"n{number:03}")

    def report(self, name: str) -> None:
        told = {"model": "m", "digest": V1, "version": 1, "targetDigest": V2, "targetRollout": "r", "targetAttempt": 1}
        told |= {"targetState": "Staged", "permitRequest": 7, "lastKnownGood": V1}
        status = {"connected": True, "lastSeenUnixMs": 1_000_000, "models": [told]}
        self.objects.patch("EdgeNode", name, manager=writers.GATEWAY, status=status)

    def tick(self) -> None:
        self.objects.now_s += 0.1
        mono_ms = round(1000 * self.objects.now_s)
        self.store.refresh(mono_ms)
        self.rollouts.step(now_ms=1_000_000 + mono_ms, mono_ms=mono_ms, epoch=1)


@pytest.mark.parametrize("asked", [{"desired": "Abort"}, {"paused": True}], ids=["abort", "pause"])
def test_no_permit_comes_later_than_five_seconds_after_it_was_written(asked: dict[str, Any]) -> None:
    fleet = Fleet()
    fleet.objects.begun = True
    while len(fleet.objects.granted) < 50:
        fleet.tick()
    given, at_s = len(fleet.objects.granted), fleet.objects.now_s
    fleet.objects.patch("ModelRollout", "r", manager=writers.OPERATOR, spec=asked)
    for _ in range(200):
        fleet.tick()
    late = [when for when in fleet.objects.granted if when > at_s + 5]
    assert late == [] and given < NODES / 2, "the wave was on"
    assert len(fleet.objects.granted) - given <= 50


def test_a_wave_that_nobody_disturbs_gives_everyone_a_permit() -> None:
    fleet = Fleet()
    fleet.objects.begun = True
    for _ in range(200):
        fleet.tick()
        if len(fleet.objects.granted) >= NODES:
            break
    assert len(fleet.objects.granted) == NODES
    held = [node.spec["assignments"][0] for node in fleet.objects.list("EdgeNode")]
    numbers = [one["permit"]["number"] for one in held]
    assert len(set(numbers)) == NODES
