"""What a thief of keys can do to a node that fetches a version, and what he cannot do once they are rotated."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import mirror
import pytest
from trust_world import T0, World, contents, digest

from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.trust import ceremony, store
from skerry.core import errors


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    ceremony.ensure(DirectoryBlobs(tmp_path / "repository"), tmp_path / "keys", now=T0)
    served = mirror.Mirror(tmp_path / "repository")
    yield World(tmp_path, served)
    served.close()


def test_metadata_of_another_repositorys_keys_is_refused(world: World) -> None:
    prefix = world.publish(1)
    ceremony.ensure(DirectoryBlobs(world.tmp / "foreign"), world.tmp / "foreign-keys", now=T0)
    world.mirror.overrides["metadata/timestamp.json"] = (world.tmp / "foreign/metadata/timestamp.json").read_bytes()
    world.refused(prefix, "BadSignature")


def test_a_foreign_root_cannot_follow_the_trusted_one(world: World) -> None:
    prefix = world.publish(1)
    ceremony.ensure(DirectoryBlobs(world.tmp / "foreign"), world.tmp / "foreign-keys", now=T0)
    ceremony.rotate_root(DirectoryBlobs(world.tmp / "foreign"), world.tmp / "foreign-keys", now=T0)
    world.mirror.overrides["metadata/2.root.json"] = (world.tmp / "foreign/metadata/2.root.json").read_bytes()
    world.refused(prefix, "BadSignature")


def test_the_controllers_keys_cannot_sign_for_the_publisher(world: World) -> None:
    files = contents()
    with pytest.raises(errors.RejectedError, match="no key of role imported"):
        world.repository.add_version("imported", "digits", 1, digest(files["manifest.json"]), files, now=T0)


def test_a_retrained_role_that_lists_imported_paths_is_not_asked(world: World) -> None:
    prefix = world.publish(1)

    def also_imported(signed: Any) -> None:
        for path in list(signed.targets):
            signed.targets[path.replace("retrained/", "imported/")] = signed.targets[path]

    store_ = world.repository.store
    forged = world.sign_as_thief(also_imported, "retrained")
    store_.blobs.write(store_.path("retrained", store_.newest("retrained")), forged)
    world.repository.publish(now=T0)
    with pytest.raises(errors.IntegrityError, match="not signed by role imported"):
        world.fetch(prefix.replace("retrained/", "imported/"))


def test_fast_forward_sticks_until_the_online_keys_are_rotated(world: World) -> None:
    prefix = world.publish(1)

    def far_ahead(signed: Any) -> None:
        signed.version = 99_999

    world.mirror.overrides["metadata/timestamp.json"] = world.sign_as_thief(far_ahead)
    world.fetch(prefix)
    world.mirror.overrides.clear()
    world.refused(prefix, "Replayed")
    ceremony.rotate_online(DirectoryBlobs(world.tmp / "repository"), world.tmp / "keys", now=T0)
    assert world.fetch(prefix).custom["version"] == 1
    assert world.fetch(world.publish(2)).custom["version"] == 2, "and publishing goes on under the new keys"


def test_a_time_signed_far_ahead_sticks_until_the_online_keys_are_rotated(world: World) -> None:
    prefix = world.publish(1)

    def in_ten_years(signed: Any) -> None:
        signed.unrecognized_fields[store.SIGNED_AT] += int(timedelta(days=3650).total_seconds() * 1000)

    world.mirror.overrides["metadata/timestamp.json"] = world.sign_as_thief(in_ten_years)
    world.fetch(prefix)
    world.mirror.overrides.clear()
    world.refused(prefix, "Expired")
    ceremony.rotate_online(DirectoryBlobs(world.tmp / "repository"), world.tmp / "keys", now=T0)
    assert world.fetch(prefix).custom["version"] == 1


def test_the_stolen_keys_are_worthless_after_the_rotation(world: World) -> None:
    prefix = world.publish(1)

    def newer(signed: Any) -> None:
        signed.version += 5

    forged = world.sign_as_thief(newer)
    ceremony.rotate_online(DirectoryBlobs(world.tmp / "repository"), world.tmp / "keys", now=T0)
    world.fetch(prefix)
    world.mirror.overrides["metadata/timestamp.json"] = forged
    world.refused(prefix, "BadSignature")


def test_a_node_follows_a_rotation_of_the_root_key(world: World) -> None:
    prefix = world.publish(1)
    for expected in (2, 3):
        assert expected == ceremony.rotate_root(DirectoryBlobs(world.tmp / "repository"), world.tmp / "keys", now=T0)
    assert world.fetch(prefix).custom["version"] == 1
    assert len(list((world.tmp / "keys" / "root").iterdir())) == 1


def test_a_node_follows_a_rotation_of_the_publishers_key(world: World) -> None:
    prefix = world.publish(1, role=store.IMPORTED)
    world.fetch(prefix)
    storage = DirectoryBlobs(world.tmp / "repository")
    seen: list[Any] = []

    def published(is_published: Any) -> None:
        seen.append(world.fetch(prefix).custom["version"])  # a node that comes by in the middle
        assert is_published()

    ceremony.rotate_publisher(storage, world.tmp / "keys", now=T0, await_published=published)
    assert [*seen, world.fetch(prefix).custom["version"]] == [1, 1]
    assert world.fetch(world.publish(2, role=store.IMPORTED)).custom["version"] == 2
