"""What an attacker on the way, a hostile mirror or a wrong clock can do to a node that fetches a version."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mirror
import pytest
import trust_world
from trust_world import MODEL, T0, World, digest

from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.trust import ceremony, client, repository, store
from skerry.core import errors


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    ceremony.ensure(DirectoryBlobs(tmp_path / "repository"), tmp_path / "keys", now=T0)
    served = mirror.Mirror(tmp_path / "repository")
    yield World(tmp_path, served)
    served.close()


def test_an_honest_mirror_gives_the_version_that_was_published(world: World) -> None:
    fetched = world.fetch(world.publish(3))
    assert {"manifest.json", "model.onnx", "golden.npz"} == set(fetched.files)
    assert fetched.files["model.onnx"].read_bytes() == MODEL + b"3"
    assert {"model": "digits", "version": 3, "digest": digest(fetched.manifest)} == fetched.custom


def test_an_import_signed_by_the_publisher_is_fetched_alike(world: World) -> None:
    assert world.fetch(world.publish(1, role=store.IMPORTED)).custom["model"] == "digits"


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "golden.npz"])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda b: bytes([b[0] ^ 1]) + b[1:], id="first byte flipped"),
        pytest.param(lambda b: b[: len(b) // 2] + bytes([b[len(b) // 2] ^ 128]) + b[len(b) // 2 + 1 :], id="middle"),
        pytest.param(lambda b: b[:-1] + bytes([b[-1] ^ 1]), id="last byte flipped"),
        pytest.param(lambda b: b[:-1], id="last byte cut"),
        pytest.param(lambda b: b[:1], id="all but one byte cut"),
        pytest.param(lambda b: bytes(len(b)), id="zeroed"),
        pytest.param(lambda b: b + b"x", id="a byte appended"),
    ],
)
def test_a_tampered_file_is_refused_for_good(world: World, name: str, damage: Any) -> None:
    prefix = world.publish(1)
    path = world.target_file(prefix, name)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(errors.IntegrityError) as caught:
        world.fetch(prefix)
    assert not isinstance(caught.value, client.UntrustedMetadataError), "the version is bad, not the repository"
    assert name in str(caught.value)


METADATA = ["timestamp.json", "2.snapshot.json", "1.targets.json", "2.retrained.json"]


@pytest.mark.parametrize("name", METADATA)
def test_any_flipped_character_of_metadata_is_refused_or_means_the_same(world: World, name: str) -> None:
    prefix = world.publish(1)
    path = world.tmp / "repository" / "metadata" / name
    good = path.read_bytes()
    for position in range(0, len(good), max(1, len(good) // 23)):
        world.mirror.overrides[f"metadata/{name}"] = (
            good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :]
        )
        shutil.rmtree(world.tmp / "node", ignore_errors=True)
        with pytest.raises(client.UntrustedMetadataError):
            world.fetch(prefix)


def test_a_replayed_repository_is_refused_once_a_newer_one_was_seen(world: World) -> None:
    first = world.publish(1)
    world.mirror.save(world.tmp / "old")
    world.fetch(world.publish(2))
    world.mirror.folder = world.tmp / "old"
    world.refused(first, "Replayed")
    world.mirror.folder = world.tmp / "repository"
    assert world.fetch(first).custom["version"] == 1, "an older version under fresh metadata is a lawful rollback"


def test_a_replayed_timestamp_alone_is_refused(world: World) -> None:
    prefix = world.publish(1)
    old = (world.tmp / "repository" / "metadata" / "timestamp.json").read_bytes()
    world.fetch(world.publish(2))
    world.mirror.overrides["metadata/timestamp.json"] = old
    world.refused(prefix, "Replayed")


def test_mixing_an_old_snapshot_with_a_new_timestamp_is_refused(world: World) -> None:
    world.publish(1)
    old = (world.tmp / "repository" / "metadata" / "2.snapshot.json").read_bytes()
    prefix = world.publish(2)
    world.mirror.overrides["metadata/3.snapshot.json"] = old
    world.refused(prefix, "Mismatch")


def test_mixing_an_old_delegated_role_with_a_new_snapshot_is_refused(world: World) -> None:
    world.publish(1)
    old = (world.tmp / "repository" / "metadata" / "2.retrained.json").read_bytes()
    prefix = world.publish(2)
    world.mirror.overrides["metadata/3.retrained.json"] = old
    world.refused(prefix, "Mismatch")


def test_expired_metadata_is_refused_and_trusted_again_when_renewed(world: World) -> None:
    prefix = world.publish(1)
    world.fetch(prefix)
    world.now = T0 + timedelta(days=3)
    world.refused(prefix, "Expired")
    assert world.repository.refresh_if_due(now=world.now)
    assert world.fetch(prefix).custom["version"] == 1


def test_a_clock_at_1970_cannot_bring_expired_metadata_back(world: World) -> None:
    prefix = world.publish(1)
    world.mirror.save(world.tmp / "frozen")
    world.now = T0 + timedelta(days=3)
    world.repository.refresh_if_due(now=world.now)
    world.fetch(prefix)
    # The node loses its metadata (not its floor) and its clock, and somebody shows it the frozen repository.
    shutil.rmtree(world.tmp / "node" / "metadata")
    world.mirror.folder = world.tmp / "frozen"
    world.refused(prefix, "Expired", now=datetime(1970, 1, 1, tzinfo=UTC))


def test_a_clock_at_1970_still_installs_what_is_fresh(world: World) -> None:
    assert world.fetch(world.publish(1), now=datetime(1970, 1, 1, tzinfo=UTC)).custom["version"] == 1


def test_a_new_node_at_1970_starts_from_the_time_of_its_trusted_root(world: World) -> None:
    prefix = world.publish(1)

    def long_expired(signed: Any) -> None:
        signed.expires = T0 - timedelta(days=1)

    world.mirror.overrides["metadata/timestamp.json"] = world.sign_as_thief(long_expired)
    world.refused(prefix, "Expired", now=datetime(1970, 1, 1, tzinfo=UTC))


def test_a_clock_ten_years_ahead_refuses_and_leaves_no_trace(world: World) -> None:
    prefix = world.publish(1)
    world.refused(prefix, "Expired", now=T0 + timedelta(days=3650))
    assert world.fetch(prefix).custom["version"] == 1


@pytest.mark.parametrize("asked", ["retrained/digits/2", "retrained/letters/1"])
def test_an_assignment_of_what_nobody_signed_is_refused(world: World, asked: str) -> None:
    world.publish(1)
    with pytest.raises(errors.IntegrityError, match="is not signed by role retrained"):
        world.fetch(asked)


def test_another_models_valid_files_under_a_wrong_name_are_refused(world: World) -> None:
    world.publish(1, model="letters")

    def renamed(signed: Any) -> None:
        for path, target in list(signed.targets.items()):
            target.path = path.replace("letters", "digits")
            signed.targets[target.path] = target

    metadata = world.repository.store
    forged = world.sign_as_thief(renamed, "retrained")
    metadata.blobs.write(metadata.path("retrained", metadata.newest("retrained")), forged)
    world.repository.publish(now=T0)
    with pytest.raises(errors.IntegrityError, match="valid file under a wrong name"):
        world.fetch("retrained/digits/1")


@pytest.mark.parametrize(
    "asked", ["", "retrained", "retrained/digits", "retrained/../1", "retrained/digits/01", "x/digits/1"]
)
def test_a_malformed_prefix_is_the_callers_mistake(world: World, asked: str) -> None:
    with pytest.raises(errors.InputError):
        world.fetch(asked)


def test_a_version_larger_than_the_node_takes_is_refused_before_it_is_downloaded(world: World) -> None:
    prefix = world.publish(1)
    with pytest.raises(errors.TooLargeError, match=r"model.onnx is 10241 bytes"):
        world.fetch(prefix, max_bytes=5000)
    assert not (world.tmp / "fetched" / "model.onnx").exists()


@pytest.mark.parametrize("what", ["timestamp", "model"])
def test_endless_data_is_cut_off_at_the_known_length(world: World, what: str) -> None:
    prefix = world.publish(1)
    path = world.target_file(prefix, "model.onnx").relative_to(world.tmp / "repository")
    world.mirror.endless.add("metadata/timestamp.json" if what == "timestamp" else str(path))
    with pytest.raises(errors.IntegrityError):
        world.fetch(prefix)
    assert world.mirror.served_bytes < 16 << 20


def test_a_dripping_server_is_cut_off_by_the_deadline(world: World) -> None:
    prefix = world.publish(1)
    world.mirror.dripping.add("metadata/timestamp.json")
    with pytest.raises(errors.UnavailableError, match="in time"):
        world.fetch(prefix, timeout_s=0.4)


def test_a_dead_mirror_is_unavailable_and_nothing_is_forgotten(world: World) -> None:
    prefix = world.publish(1)
    world.fetch(prefix)
    world.mirror.down = True
    with pytest.raises(errors.UnavailableError):
        world.fetch(prefix)
    world.mirror.down = False
    assert world.fetch(prefix).custom["version"] == 1


def test_a_node_that_does_not_accept_the_manifest_downloads_nothing_more(world: World) -> None:
    prefix = world.publish(1)
    root = (world.tmp / "repository" / "metadata" / "1.root.json").read_bytes()
    node = client.TrustClient(world.tmp / "node", root, world.mirror.url)

    def too_new(manifest: bytes) -> None:
        raise errors.RejectedError("this runtime cannot load it")

    with pytest.raises(errors.RejectedError, match="cannot load"):
        node.fetch(prefix, world.tmp / "fetched", 1 << 20, now=T0, accept=too_new)
    assert [path.name for path in (world.tmp / "fetched").iterdir()] == ["manifest.json"]


@pytest.fixture
def signed_with_sha512(world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a version that another tool than ours signed: TUF leaves the hash to the signer."""
    with monkeypatch.context() as other_tool:
        other_tool.setattr(repository, "_HASH", "sha512")
        return world.publish(1)


def test_a_version_signed_with_sha512_alone_is_fetched(world: World, signed_with_sha512: str) -> None:
    assert world.fetch(signed_with_sha512).files["model.onnx"].read_bytes() == MODEL + b"1"


def test_what_sha512_alone_has_signed_must_be_what_the_manifest_names(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = trust_world.contents
    mixed = {**honest(salt=b"1"), "model.onnx": b"another network"}
    monkeypatch.setattr(trust_world, "contents", lambda *_: mixed)
    with monkeypatch.context() as other_tool:
        other_tool.setattr(repository, "_HASH", "sha512")
        prefix = world.publish(1)
    with pytest.raises(errors.IntegrityError, match=r"model\.onnx is not the file that its manifest names"):
        world.fetch(prefix)


def test_a_repository_of_ours_does_not_go_on_with_what_was_signed_with_sha512_alone(
    world: World, signed_with_sha512: str
) -> None:
    with pytest.raises(errors.IntegrityError, match="is signed with sha512, not with sha256"):
        world.repository.find_version(signed_with_sha512)
