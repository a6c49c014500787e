"""Every act leaves a record: before it is done, and what it came to; whatever happens in between."""

from pathlib import Path
from typing import Any

import pytest

from skerry.adapters import acts
from skerry.adapters.objects.memory import MemoryObjects
from skerry.adapters.objects.protocol import Object, Objects
from skerry.adapters.objects.sqlite import SqliteObjects
from skerry.core import audit, errors, intents, writers

NODE, JO = "edge-1", audit.Actor("jo", "operator", "skerry nodes cordon", "console-2")


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    found: Objects = MemoryObjects() if request.param == "memory" else SqliteObjects(tmp_path / "objects.db")
    found.create("EdgeNode", NODE, {"labels": {"site": "north"}}, manager=writers.GATEWAY)
    return found


def records(store: Objects) -> list[audit.Record]:
    return [audit.parse(one.name, one.spec, one.status) for one in store.list(audit.KIND)]


def cordon(known: intents.Known) -> intents.Patch:
    return intents.cordon(known, on=True)


def test_an_act_is_told_with_who_why_before_and_after(store: Objects) -> None:
    acts.Acts(store, JO, "smoke", clock=lambda: 1_796_000_000_000).change("cordon", "EdgeNode", NODE, cordon)
    [one] = records(store)
    assert (one.actor, one.action, one.about, one.reason) == (JO, "cordon", "EdgeNode/edge-1", "smoke")
    assert (one.before, one.after) == ({"cordoned": None}, {"cordoned": True})
    assert (one.outcome, one.at_unix_ms) == ("Applied", 1_796_000_000_000) and one.name.startswith("1796000000000-")


def test_a_refusal_is_told_too(store: Objects) -> None:
    with pytest.raises(errors.RejectedError, match="has no certificate"):
        acts.Acts(store, JO).change("approve", "EdgeNode", NODE, refuse)
    with pytest.raises(errors.NotFoundError):
        acts.Acts(store, JO).change("cordon", "EdgeNode", "nowhere", cordon)
    assert {(one.outcome, one.message) for one in records(store)} == {
        ("Refused", "has no certificate"),
        ("Refused", "there is no EdgeNode nowhere"),
    }


def refuse(_: intents.Known) -> intents.Patch:
    raise errors.RejectedError("has no certificate")


def test_who_was_too_late_is_told_who_was_first(store: Objects) -> None:
    def decided(known: intents.Known) -> intents.Patch:
        patch = intents.revoke(known)
        if not known.spec.get("revoked"):
            acts.Acts(store, audit.Actor("kim")).change("revoke", "EdgeNode", NODE, intents.revoke)
        return patch

    with pytest.raises(errors.RejectedError):
        acts.Acts(store, JO).change("revoke", "EdgeNode", NODE, decided)

    def readmitted(known: intents.Known) -> intents.Patch:
        patch = intents.readmit(known)
        if known.spec.get("revoked"):
            store.patch("EdgeNode", NODE, manager=writers.OPERATOR, spec={"revoked": None, "labels": {"a": "b"}})
        return patch

    with pytest.raises(errors.SkerryError):
        acts.Acts(store, JO).change("readmit", "EdgeNode", NODE, readmitted)
    assert [one.actor.by for one in records(store) if one.outcome == "Applied"] == ["kim"]


def test_a_conflict_names_the_last_who_did_something(store: Objects) -> None:
    acts.Acts(store, audit.Actor("kim")).change("cordon", "EdgeNode", NODE, cordon)

    def late(_: intents.Known) -> intents.Patch:
        raise errors.ConflictError("wave canary is passed already: nothing was done")

    with pytest.raises(errors.ConflictError, match=r"nothing was done \(the last act on it: cordon, by kim\)"):
        acts.Acts(store, JO).change("promote", "EdgeNode", NODE, late)
    assert records(store)[-1].outcome == "Conflict"


class Dies(BaseException):
    """As a killed process: nothing of ours runs after it."""


class Failing:
    """The store, which dies or falls silent at its n-th write."""

    def __init__(self, store: Objects, at: int, error: BaseException) -> None:
        self._store, self._left, self._error = store, at, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def create(self, *args: Any, **kwargs: Any) -> Object:
        self._count()
        return self._store.create(*args, **kwargs)

    def patch(self, *args: Any, **kwargs: Any) -> Object:
        self._count()
        return self._store.patch(*args, **kwargs)

    def _count(self) -> None:
        self._left -= 1
        if not self._left:
            raise self._error


@pytest.mark.parametrize(
    ("at", "outcomes", "cordoned"), [(1, [], False), (2, ["Unknown"], False), (3, ["Unknown"], True)]
)
def test_killed_before_any_write_no_act_is_silent(store: Objects, at: int, outcomes: list[str], cordoned: bool) -> None:
    with pytest.raises(Dies):
        acts.Acts(Failing(store, at, Dies()), JO).change("cordon", "EdgeNode", NODE, cordon)  # type: ignore[arg-type]
    assert [one.outcome for one in records(store)] == outcomes
    assert store.get("EdgeNode", NODE).spec.get("cordoned", False) is cordoned


def test_what_cannot_be_written_down_is_not_done(store: Objects) -> None:
    silent = Failing(store, 1, errors.UnavailableError("the store did not answer"))
    with pytest.raises(errors.UnavailableError):
        acts.Acts(silent, JO).change("cordon", "EdgeNode", NODE, cordon)  # type: ignore[arg-type]
    assert "cordoned" not in store.get("EdgeNode", NODE).spec and not records(store)
    older = Failing(store, 1, errors.NotFoundError("the server could not find the requested resource"))
    with pytest.raises(errors.UnavailableError, match="Upgrade the chart skerry-crds"):
        acts.Acts(older, JO).change("cordon", "EdgeNode", NODE, cordon)  # type: ignore[arg-type]


def test_an_outcome_is_written_once_and_a_record_never_changed_or_deleted_by_people(store: Objects) -> None:
    acts.Acts(store, JO).change("cordon", "EdgeNode", NODE, cordon)
    [one] = store.list(audit.KIND)
    for change in ({"spec": {"by": "kim"}}, {"status": {"outcome": "Refused"}}, {"status": {"outcome": None}}):
        with pytest.raises(errors.RejectedError, match="cannot be changed"):
            store.patch(audit.KIND, one.name, manager=writers.OPERATOR, **change)  # type: ignore[arg-type]
    with pytest.raises(errors.RejectedError, match="operator may not delete"):
        store.delete(audit.KIND, one.name)
    store.restore(Object(one.kind, one.name, "", {**one.spec, "by": "kim"}, {}, {}, 1, 1, 1))
    assert records(store)[0].actor == JO and records(store)[0].outcome == "Applied"
    store.delete(audit.KIND, one.name, manager=writers.CONTROLLER)


def test_a_tokens_secret_is_not_kept_and_what_is_long_is_a_digest(store: Objects) -> None:
    spec = {"secretHash": "h" * 64, "expiresUnixMs": 1, "uses": 1, "nodePattern": "*", "labels": {"a": "x" * 2_000}}
    acts.Acts(store, JO).create(intents.Creation("JoinToken", "t00001", spec))
    [one] = records(store)
    assert one.after["secretHash"] == "(not kept)" and set(one.after["labels"]) == {"bytes", "sha256"}
    wide = {f"field{number}": "x" * 900 for number in range(50)}
    assert len(audit.spec(JO, "x", "EdgeNode", NODE, at_unix_ms=1, after=wide)["after"]) < 200


def test_the_records_of_one_object_are_found_by_its_label_and_the_first_by_name(store: Objects) -> None:
    store.create("EdgeNode", "edge-2", {}, manager=writers.GATEWAY)
    for name in (NODE, "edge-2", NODE):
        acts.Acts(store, JO).change("label", "EdgeNode", name, lambda known: intents.label(known, {"a": "b"}))
    about = store.list(audit.KIND, label=audit.label("EdgeNode", NODE))
    assert [one.spec["object"] for one in about] == [NODE, NODE]
    assert store.list(audit.KIND, limit=1) == list(store.list(audit.KIND))[:1]
    assert not store.list(audit.KIND, label=(audit.ABOUT, "other"))
