"""Intents as they are written: bound to what was seen, whoever else writes meanwhile; in memory and in SQLite."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skerry.adapters import acts
from skerry.adapters.objects.memory import MemoryObjects
from skerry.adapters.objects.protocol import Objects
from skerry.adapters.objects.sqlite import SqliteObjects
from skerry.core import audit, errors, intents, rollout, specs, writers
from skerry.core.rollout.status import Status, Wave

NODE, ROLLOUT = "edge-1", "m-v2-auto"
SPEC: dict[str, Any] = {"model": "m", "version": "m-v2"}


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    found: Objects = MemoryObjects() if request.param == "memory" else SqliteObjects(tmp_path / "objects.db")
    found.create("EdgeNode", NODE, {}, manager=writers.GATEWAY)
    found.create("ModelRollout", ROLLOUT, SPEC, manager=writers.OPERATOR)
    stand(found, 0)
    return found


def made(store: Objects) -> acts.Acts:
    return acts.Acts(store, audit.Actor("jo"))


def stand(store: Objects, wave: int, attempt: int = 1, pause: int = 0) -> None:
    """As the controller would write it."""
    found = Status(
        attempt=attempt,
        spec_hash=specs.parse_rollout(ROLLOUT, SPEC).fingerprint,
        state="Progressing",
        wave=wave,
        waves=(Wave("canary", ("a",), size=1), Wave("half", ("b",), size=1), Wave("rest", ("c",), size=1)),
        pause_number=pause,
    )
    store.patch("ModelRollout", ROLLOUT, manager=writers.CONTROLLER, status=rollout.to_json(found))


def meanwhile(intent: Callable[[intents.Known], Any], act: Callable[[], None]) -> Callable[[intents.Known], Any]:
    """`intent`, and somebody else's write once, after it was decided and before it is written."""
    left = [act]

    def decided(known: intents.Known) -> Any:
        patch = intent(known)
        if left:
            left.pop()()
        return patch

    return decided


def promote(known: intents.Known) -> intents.Patch:
    return intents.promote(known, intents.Seen(wave="canary"))


def test_two_operators_at_one_wave_pass_it_once(store: Objects) -> None:
    """The other one was first, and the controller began the next wave between a look and an act."""

    def first() -> None:
        made(store).change("act", "ModelRollout", ROLLOUT, promote)
        stand(store, 1)

    with pytest.raises(errors.ConflictError, match="wave canary of m-v2-auto is passed already"):
        made(store).change("act", "ModelRollout", ROLLOUT, meanwhile(promote, first))
    assert store.get("ModelRollout", ROLLOUT).spec["promotedWave"] == 0


def test_a_status_that_was_written_meanwhile_does_not_hinder_a_promotion_of_the_same_wave(store: Objects) -> None:
    def counted() -> None:
        store.patch("ModelRollout", ROLLOUT, manager=writers.CONTROLLER, status={"summary": {"updated": 1}})

    patch = made(store).change("act", "ModelRollout", ROLLOUT, meanwhile(promote, counted))
    assert patch.seen == {"attempt": 1, "wave": "canary", "pause": 0}
    assert store.get("ModelRollout", ROLLOUT).spec["promotedWave"] == 0


def test_a_pause_that_came_meanwhile_is_not_cleared_by_a_promotion(store: Objects) -> None:
    with pytest.raises(errors.ConflictError, match=r"pause was 0, is 1.: nothing was done"):
        made(store).change("act", "ModelRollout", ROLLOUT, meanwhile(promote, lambda: stand(store, 0, pause=1)))
    assert "promotedWave" not in store.get("ModelRollout", ROLLOUT).spec


@pytest.mark.parametrize(("intent", "field"), [(intents.abort, "desired"), (intents.pause, "paused")])
def test_an_abort_and_a_pause_hold_in_the_next_wave_and_not_in_another_attempt(
    store: Objects, intent: Callable[[intents.Known], intents.Patch], field: str
) -> None:
    with pytest.raises(errors.ConflictError, match="attempt was 1, is 2"):
        made(store).change("act", "ModelRollout", ROLLOUT, meanwhile(intent, lambda: stand(store, 0, attempt=2)))
    assert field not in store.get("ModelRollout", ROLLOUT).spec
    made(store).change("act", "ModelRollout", ROLLOUT, meanwhile(intent, lambda: stand(store, 1, attempt=2)))
    assert field in store.get("ModelRollout", ROLLOUT).spec


def test_a_node_that_somebody_else_changed_is_left_as_it_is(store: Objects) -> None:
    def readmitted() -> None:
        store.patch("EdgeNode", NODE, manager=writers.OPERATOR, spec={"revoked": False})

    with pytest.raises(errors.ConflictError, match="revoked was null, is false"):
        made(store).change("act", "EdgeNode", NODE, meanwhile(intents.revoke, readmitted))
    assert store.get("EdgeNode", NODE).spec == {"revoked": False}


def test_what_somebody_else_changed_beside_it_does_not_hinder(store: Objects) -> None:
    def labelled() -> None:
        made(store).change("act", "EdgeNode", NODE, lambda known: intents.label(known, {"site": "north"}))

    made(store).change("act", "EdgeNode", NODE, meanwhile(lambda known: intents.cordon(known, on=True), labelled))
    assert store.get("EdgeNode", NODE).spec == {"labels": {"site": "north"}, "cordoned": True}


def test_a_node_that_was_let_in_meanwhile_is_not_deleted(store: Objects) -> None:
    def approved() -> None:
        store.patch("EdgeNode", NODE, manager=writers.OPERATOR, spec={"approvedKey": "sha256:" + "a" * 64})

    with pytest.raises(errors.RejectedError, match="edge-1 is a member of the fleet"):
        made(store).delete(
            "EdgeNode", NODE, meanwhile(lambda known: intents.delete_node(known, (), now_ms=1), approved)
        )
    assert store.get("EdgeNode", NODE).spec["approvedKey"]


def test_an_object_that_changes_all_the_time_is_given_up(store: Objects) -> None:
    def intent(known: intents.Known) -> intents.Patch:
        labels = {"beside": str(len(known.spec.get("labels", {}).get("beside", "")) * "x" + "x")}
        store.patch("EdgeNode", NODE, manager=writers.OPERATOR, spec={"labels": labels})
        return intents.cordon(known, on=True)

    with pytest.raises(errors.UnavailableError, match="EdgeNode edge-1 is changed by others all the time"):
        made(store).change("act", "EdgeNode", NODE, intent)
    assert "cordoned" not in store.get("EdgeNode", NODE).spec
