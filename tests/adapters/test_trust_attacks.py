"""What an attacker on the way, a thief of online keys or a wrong clock can do to a node that fetches a version."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mirror
import pytest
from tuf.api.metadata import Metadata, Timestamp

from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.trust import ceremony, client, keys, repository, store
from skerry.core import errors

T0 = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
MODEL = bytes(range(256)) * 40
GOLDEN = b"golden" * 100


def contents(model: str = "digits", salt: bytes = b"") -> dict[str, bytes]:
    files = {"model.onnx": MODEL + salt, "golden.npz": GOLDEN + salt}
    named = {name.partition(".")[0]: {"name": name, "digest": digest(data)} for name, data in files.items()}
    return {"manifest.json": json.dumps({"model": model, "files": named}).encode(), **files}


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class World:
    """A repository, its mirror, and a node; `now` is everybody's clock unless a test says otherwise."""

    tmp: Path
    mirror: mirror.Mirror
    now: datetime = T0

    @property
    def repository(self) -> repository.Repository:
        return repository.Repository(DirectoryBlobs(self.tmp / "repository"), keys.load(self.tmp / "keys" / "online"))

    def publish(self, version: int, *, model: str = "digits", salt: bytes = b"", role: str = store.RETRAINED) -> str:
        folder = "online" if role == store.RETRAINED else "publisher"
        signing = repository.Repository(DirectoryBlobs(self.tmp / "repository"), keys.load(self.tmp / "keys" / folder))
        files = contents(model, salt or str(version).encode())
        prefix = signing.add_version(role, model, version, digest(files["manifest.json"]), files, now=self.now)
        self.repository.publish(now=self.now)
        return prefix

    def fetch(
        self, prefix: str, *, max_bytes: int = 1 << 20, now: datetime | None = None, timeout_s: float = 20.0
    ) -> Any:
        root = (self.tmp / "repository" / "metadata" / "1.root.json").read_bytes()
        node = client.TrustClient(self.tmp / "node", root, self.mirror.url, timeout_s=timeout_s)
        return node.fetch(prefix, self.tmp / "fetched", max_bytes, now=now or self.now)

    def target_file(self, prefix: str, name: str) -> Path:
        return next((self.tmp / "repository" / "targets" / prefix).glob(f"*.{name}"))

    def refused(self, prefix: str, reason: str, **options: Any) -> None:
        with pytest.raises(client.UntrustedMetadataError) as caught:
            self.fetch(prefix, **options)
        assert reason == caught.value.reason, caught.value

    def sign_as_thief(self, edit: Any, role: str = Timestamp.type) -> bytes:
        """`role`'s newest file, edited and signed anew with the stolen online keys."""
        metadata = self.repository.store
        path = metadata.path(role, metadata.newest(role))
        parsed: Metadata[Any] = Metadata.from_bytes(metadata.read_bytes(path))
        edit(parsed.signed)
        parsed.signatures.clear()
        for keyid in metadata.delegator(role).get_delegated_role(role).keyids:
            parsed.sign(metadata.signers[keyid], append=True)
        return parsed.to_bytes()


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


def test_a_node_that_does_not_accept_the_manifest_downloads_nothing_more(world: World) -> None:
    prefix = world.publish(1)
    root = (world.tmp / "repository" / "metadata" / "1.root.json").read_bytes()
    node = client.TrustClient(world.tmp / "node", root, world.mirror.url)

    def too_new(manifest: bytes) -> None:
        raise errors.RejectedError("this runtime cannot load it")

    with pytest.raises(errors.RejectedError, match="cannot load"):
        node.fetch(prefix, world.tmp / "fetched", 1 << 20, now=T0, accept=too_new)
    assert [path.name for path in (world.tmp / "fetched").iterdir()] == ["manifest.json"]


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
