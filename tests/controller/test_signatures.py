"""What has an end is renewed or told of in time: the model repository's signatures over months of a controller."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import controlled_model
import controlling
import pytest

from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.trust import ceremony, expiry, keys
from skerry.adapters.trust.expiry import Signature
from skerry.controller import signatures

DAY_MS = 86_400_000
NOW = datetime(2026, 11, 25, tzinfo=UTC)


def signature(role: str, days: float) -> Signature:
    return Signature(role, expiry.ROLES[role][0], 1, ("key",), NOW + timedelta(days=days))


@pytest.mark.parametrize(
    ("days", "status", "reason", "named"),
    [
        pytest.param({}, "True", "Fresh", [], id="all is well"),
        pytest.param({"imported": 27}, "False", "SignatureExpiring", ["imported"], id="one is near its end"),
        pytest.param(
            {"imported": 27, "root": 59}, "False", "SignatureExpiring", ["root", "imported"], id="two are near it"
        ),
        pytest.param({"imported": 27, "targets": -1}, "False", "SignatureEnded", ["targets"], id="one has ended"),
        pytest.param({"timestamp": 1}, "False", "SignatureExpiring", ["timestamp"], id="the controller's own"),
    ],
)
def test_what_the_condition_says(days: dict[str, float], status: str, reason: str, named: list[str]) -> None:
    found = [signature(role, days.get(role, 400)) for role in expiry.ROLES]
    told = signatures.judge(found, NOW)
    assert (told.status, told.reason) == (status, reason)
    assert [role for role in expiry.ROLES if f"{role} ends on" in told.message] == named


def test_the_condition_does_not_change_from_day_to_day() -> None:
    found = [signature("root", 400), signature("targets", 20)]
    assert signatures.judge(found, NOW) == signatures.judge(found, NOW + timedelta(days=9))


def test_the_numbers_fall() -> None:
    assert signatures.seconds_left([signature("targets", 2)], NOW + timedelta(days=3)) == {("targets",): -86_400}


def pass_days(world: controlling.World, days: int) -> None:
    """A look twice a day: the second one tells what the first one saw."""
    for _ in range(days):
        for _ in range(2):
            world.now_ms += DAY_MS // 2
            world.tick()


def trust(world: controlling.World) -> tuple[str, str]:
    return world.condition("EdgeModel", controlled_model.MODEL, signatures.CONDITION)


def events(world: controlling.World) -> list[tuple[str, bool]]:
    """(reason, warning) of what was told of signatures."""
    told = [(reason, warning) for _, _, reason, _, warning in world.events.told]
    return [one for one in told if one[0].startswith("Signature")]


def test_the_controllers_own_are_renewed_without_anybody_and_the_publishers_are_told_of(tmp_path: Path) -> None:
    world = controlling.World(tmp_path)
    pass_days(world, 60)
    assert trust(world) == ("True", "Fresh")
    pass_days(world, 4)
    assert trust(world) == ("False", "SignatureExpiring")
    world.restart()
    pass_days(world, 27)
    assert trust(world) == ("False", "SignatureEnded")
    late = [one.role for one in world.reconciler.signatures if one.warning(world.now)]
    assert late == ["targets", "imported"], "and no other role came near its end in 91 days"
    assert events(world) == [("SignatureExpiring", True), ("SignatureEnded", True)]


@pytest.mark.long
def test_a_daily_renewal_where_the_publishers_key_is_leaves_nothing_to_tell(tmp_path: Path) -> None:
    world = controlling.World(tmp_path)
    only_publisher = tmp_path / "renewing"
    (only_publisher / keys.PUBLISHER).mkdir(parents=True)
    for file in (tmp_path / "keys" / keys.PUBLISHER).iterdir():
        (only_publisher / keys.PUBLISHER / file.name).write_bytes(file.read_bytes())
    renewed = 0
    for _ in range(200):
        renewed += bool(ceremony.renew(DirectoryBlobs(tmp_path / "repository"), only_publisher, now=world.now))
        pass_days(world, 1)
        assert trust(world) == ("True", "Fresh")
    assert renewed == 3
    assert events(world) == []


@pytest.mark.long
def test_at_rest_the_condition_is_not_written_again(tmp_path: Path) -> None:
    world = controlling.World(tmp_path)
    pass_days(world, 64)
    assert trust(world) == ("False", "SignatureExpiring")
    before = world.get("EdgeModel", controlled_model.MODEL).resource_version
    pass_days(world, 3)
    assert world.get("EdgeModel", controlled_model.MODEL).resource_version == before
