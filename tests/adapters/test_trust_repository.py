"""The cloud side of the model repository: what its keys may do, what renewal and rotation touch."""

import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from trust_repository import DIGEST, FILES, T0, add_and_publish, founded, read, rotate_publisher
from tuf.api.metadata import Timestamp

from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.trust import ceremony, expiry, keys, repository
from skerry.core import errors


def test_private_keys_are_readable_by_their_owner_alone_and_in_folders_by_custodian(tmp_path: Path) -> None:
    founded(tmp_path)
    found = {path.relative_to(tmp_path / "keys").parts[0] for path in (tmp_path / "keys").rglob("*.pem")}
    assert {"root", "publisher", "online"} == found
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").rglob("*.pem")}


def test_the_controller_needs_no_key_but_its_own_after_the_founding(tmp_path: Path) -> None:
    founded(tmp_path)
    for custodian in ("root", "publisher"):
        (tmp_path / "keys" / custodian).rename(tmp_path / f"safe-{custodian}")
    add_and_publish(tmp_path)
    assert {f"retrained/digits/1/{name}" for name in FILES} == set(read(tmp_path) or ())


def test_the_same_version_twice_writes_nothing(tmp_path: Path) -> None:
    add_and_publish(tmp_path)
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "repository").rglob("*.json"))
    add_and_publish(tmp_path)
    assert before == sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "repository").rglob("*.json"))


def test_a_release_number_never_names_other_content(tmp_path: Path) -> None:
    add_and_publish(tmp_path)
    with pytest.raises(errors.RejectedError, match="take a new release number"):
        founded(tmp_path).add_version("retrained", "digits", 1, DIGEST, {**FILES, "model.onnx": b"other"}, now=T0)
    assert (
        founded(tmp_path).read_target(founded(tmp_path).find_version("retrained/digits/1"), "model.onnx") == b"m" * 1000
    )


@pytest.mark.parametrize(
    ("model", "version", "names"),
    [
        pytest.param("../etc", 1, {}, id="a model that climbs out"),
        pytest.param("a/b", 1, {}, id="a model with a slash"),
        pytest.param("*", 1, {}, id="a model that is a pattern"),
        pytest.param("digits", 0, {}, id="release number zero"),
        pytest.param("digits", 2**53, {}, id="a release number JSON cannot hold"),
        pytest.param("digits", 1, {"../x": b""}, id="a file that climbs out"),
    ],
)
def test_unsafe_names_are_refused_before_anything_is_written(
    tmp_path: Path, model: str, version: int, names: dict[str, bytes]
) -> None:
    with pytest.raises(errors.InputError):
        founded(tmp_path).add_version("retrained", model, version, DIGEST, {**FILES, **names}, now=T0)
    assert read(tmp_path) == {}


def test_a_manifest_that_is_not_the_named_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.InputError, match="whose digest is"):
        founded(tmp_path).add_version("retrained", "digits", 1, "sha256:" + "0" * 64, FILES, now=T0)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        pytest.param(timedelta(hours=5), set(), id="nothing within six hours"),
        pytest.param(timedelta(hours=7), {"timestamp"}, id="the timestamp after six hours"),
        pytest.param(timedelta(days=8), {"timestamp", "snapshot"}, id="the snapshot after a week"),
        pytest.param(timedelta(days=61), {"timestamp", "snapshot", "retrained"}, id="the own role after two months"),
    ],
)
def test_renewal_writes_what_is_due_and_nothing_else(tmp_path: Path, age: timedelta, expected: set[str]) -> None:
    metadata = founded(tmp_path).store
    roles = ("targets", "imported", "retrained", "snapshot")

    def versions() -> dict[str, int]:
        now = {role: metadata.newest(role) for role in roles}
        return {**now, "timestamp": metadata.load(Timestamp, "timestamp", 0)[0].signed.version}

    before = versions()
    assert bool(expected) == founded(tmp_path).refresh_if_due(now=T0 + age)
    assert expected == {role for role, version in versions().items() if version != before[role]}
    assert not founded(tmp_path).refresh_if_due(now=T0 + age), "a second look finds nothing due"


def test_somebody_is_told_of_what_the_controller_cannot_renew(tmp_path: Path) -> None:
    online = founded(tmp_path)

    def told(days: int) -> list[str]:
        now = T0 + timedelta(days=days)
        online.refresh_if_due(now=now)
        return [one.role for one in expiry.look(online.store) if one.warning(now)]

    assert told(0) == []
    assert told(61) == [], "that is when a daily renewal comes"
    assert told(70) == ["targets", "imported"]
    publisher = repository.Repository(
        DirectoryBlobs(tmp_path / "repository"), keys.load(tmp_path / "keys" / "publisher")
    )
    assert publisher.refresh_if_due(now=T0 + timedelta(days=70))
    assert told(70) == []
    assert told(310) == ["root", "targets", "imported"]


def test_metadata_that_somebody_else_wrote_is_never_published(tmp_path: Path) -> None:
    founded(tmp_path)
    ceremony.ensure(DirectoryBlobs(tmp_path / "foreign"), tmp_path / "foreign-keys", now=T0)
    forged = (tmp_path / "foreign/metadata/1.imported.json").read_bytes()
    (tmp_path / "repository/metadata/2.imported.json").write_bytes(forged)
    with pytest.raises(errors.IntegrityError, match="not signed by the keys of imported"):
        founded(tmp_path).publish(now=T0)
    assert read(tmp_path) == {}


def test_after_the_publishers_key_was_rotated_the_old_one_signs_nothing_and_the_new_one_imports(tmp_path: Path) -> None:
    online = founded(tmp_path)
    stolen = keys.load(tmp_path / "keys" / "publisher")
    assert rotate_publisher(tmp_path) == 2
    with pytest.raises(errors.RejectedError, match="no key of role imported"):
        repository.Repository(DirectoryBlobs(tmp_path / "repository"), stolen).add_version(
            "imported", "digits", 1, DIGEST, FILES, now=T0
        )
    publisher = repository.Repository(
        DirectoryBlobs(tmp_path / "repository"), keys.load(tmp_path / "keys" / "publisher")
    )
    publisher.add_version("imported", "digits", 1, DIGEST, FILES, now=T0)
    online.publish(now=T0)
    assert {f"imported/digits/1/{name}" for name in FILES} == set(read(tmp_path) or ())
    assert len(list((tmp_path / "keys" / "publisher").iterdir())) == 1


def test_without_the_online_keys_the_publishers_rotation_waits_for_the_controller(tmp_path: Path) -> None:
    online = founded(tmp_path)
    (tmp_path / "keys" / "online").rename(tmp_path / "the controller's")
    asked = []

    def controller(is_published: Callable[[], bool]) -> None:
        asked.append(is_published())
        online.publish(now=T0)
        asked.append(is_published())

    version = ceremony.rotate_publisher(
        DirectoryBlobs(tmp_path / "repository"), tmp_path / "keys", now=T0, await_published=controller
    )
    assert (version, asked) == (2, [False, True])
    assert read(tmp_path) == {}


def test_rotating_the_online_keys_replaces_the_key_of_retrained_versions_too(tmp_path: Path) -> None:
    add_and_publish(tmp_path)
    before = set(keys.load(tmp_path / "keys" / "online"))
    ceremony.rotate_online(DirectoryBlobs(tmp_path / "repository"), tmp_path / "keys", now=T0)
    after = set(keys.load(tmp_path / "keys" / "online"))
    assert len(after) == 3 and not before & after
    founded(tmp_path).add_version("retrained", "digits", 2, DIGEST, FILES, now=T0)


def test_a_damaged_key_is_named(tmp_path: Path) -> None:
    founded(tmp_path)
    path = next((tmp_path / "keys" / "online").glob("snapshot-*.pem"))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(errors.IntegrityError, match=path.name):
        founded(tmp_path)


def test_a_rotation_without_the_root_key_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    add_and_publish(tmp_path)
    (tmp_path / "keys" / "root").rename(tmp_path / "safe")
    with pytest.raises(errors.RejectedError, match="kept offline"):
        ceremony.rotate_online(DirectoryBlobs(tmp_path / "repository"), tmp_path / "keys", now=T0)
    assert founded(tmp_path).store.newest("root") == 1
