"""The model repository where nothing locks: writers that overtake one another, sweeps in between, and first starts."""

import functools
import hashlib
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import object_storage
import pytest
from obstore.store import MemoryStore
from tuf.api.metadata import Snapshot, Targets, Timestamp

from skerry.adapters import blobs
from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.adapters.blobs.protocol import Entry, SharedBlobs
from skerry.adapters.blobs.remote import RemoteBlobs
from skerry.adapters.trust import ceremony, cleanup, expiry, keys, repository, store
from skerry.core import errors

T0 = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def contents(salt: str) -> dict[str, bytes]:
    return {"manifest.json": f'{{"salt":"{salt}"}}'.encode(), "model.onnx": f"model {salt}".encode()}


def digest(files: dict[str, bytes]) -> str:
    return f"sha256:{hashlib.sha256(files['manifest.json']).hexdigest()}"


def add(signing: repository.Repository, version: int, role: str = store.RETRAINED) -> None:
    files = contents(f"{role}-{version}")
    signing.add_version(role, "digits", version, digest(files), files, now=T0)


def visible(storage: SharedBlobs) -> set[str]:
    """Versions that a reader sees, every signature and file checked."""
    metadata = store.Store(storage, {})
    timestamp = metadata.verified(Timestamp, Timestamp.type, 0)[0].signed
    snapshot = metadata.verified(Snapshot, Snapshot.type, timestamp.snapshot_meta.version)[0].signed
    seen = set()
    for role in store.DELEGATED:
        listed = metadata.verified(Targets, role, snapshot.meta[f"{role}.json"].version)[0].signed.targets
        for target in listed.values():
            target.verify_length_and_hashes(storage.read(repository.target_file(target), max_bytes=1000))
            seen.add(target.path.rpartition("/")[0])
    return seen


class Busy(MemoryBlobs):
    """In front of the nth write of one writer, somebody else writes."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: dict[int, Callable[[], None]] = {}
        self._count, self._inside = 0, False

    def _interrupted(self, write: Callable[[], None]) -> None:
        if self._inside:  # the rest of one atomic write
            return write()
        self._count += 1
        if other := self.meanwhile.pop(self._count, None):
            other()
        self._inside = True
        try:
            write()
        finally:
            self._inside = False

    def write(self, path: str, data: bytes) -> None:
        self._interrupted(functools.partial(super().write, path, data))

    def create(self, path: str, data: bytes) -> None:
        self._interrupted(functools.partial(super().create, path, data))

    def replace(self, path: str, data: bytes, tag: str) -> None:
        self._interrupted(functools.partial(super().replace, path, data, tag))


@pytest.fixture
def busy(tmp_path: Path) -> Busy:
    made = Busy()
    ceremony.ensure(made, tmp_path, now=T0)
    return made


@pytest.mark.parametrize("nth", range(1, 8))
@pytest.mark.parametrize("other_role", store.DELEGATED)
def test_a_writer_that_is_overtaken_before_any_write_begins_again_and_nothing_is_lost(
    busy: Busy, tmp_path: Path, nth: int, other_role: str
) -> None:
    ours = repository.Repository(busy, keys.load(tmp_path / "online"))
    folder = "publisher" if other_role == store.IMPORTED else "online"
    theirs = repository.Repository(busy, keys.load(tmp_path / folder))

    def overtake() -> None:
        add(theirs, 2, other_role)
        if folder == "online":
            theirs.publish(now=T0)

    busy.meanwhile[busy._count + nth] = overtake
    add(ours, 1)
    ours.publish(now=T0)
    happened = not busy.meanwhile
    busy.meanwhile.clear()
    ours.publish(now=T0)
    assert {"retrained/digits/1", *([f"{other_role}/digits/2"] if happened else [])} == visible(busy)
    assert happened or nth > 5, "adding and publishing is five writes"


def test_who_is_always_second_is_told_and_has_broken_nothing(busy: Busy, tmp_path: Path) -> None:
    ours = repository.Repository(busy, keys.load(tmp_path / "online"))
    numbers = iter(range(2, 100))

    class Always(dict[int, Callable[[], None]]):
        def pop(self, key: int, default: object = None) -> Callable[[], None]:  # type: ignore[override]
            busy.meanwhile = {}
            try:
                add(repository.Repository(busy, keys.load(tmp_path / "online")), next(numbers))
            finally:
                busy.meanwhile = self
            return lambda: None

    busy.meanwhile = Always()
    with pytest.raises(errors.ConflictError, match="try again"):
        add(ours, 1)
    busy.meanwhile = {}
    ours.publish(now=T0)
    assert "retrained/digits/1" not in visible(busy)
    add(ours, 1)
    ours.publish(now=T0)
    assert "retrained/digits/1" in visible(busy)


@pytest.mark.parametrize("nth", range(1, 6))
def test_a_sweep_in_the_middle_takes_nothing_that_comes_to_be_named(busy: Busy, tmp_path: Path, nth: int) -> None:
    """The files of an attempt that died hours ago lie there, old; the next attempt names them."""
    ours = repository.Repository(busy, keys.load(tmp_path / "online"))
    for name, data in contents("retrained-1").items():
        busy.write(f"targets/retrained/digits/1/{hashlib.sha256(data).hexdigest()}.{name}", data)
    busy.clock_unix_s = (T0 + timedelta(hours=2)).timestamp()
    now = T0 + timedelta(hours=2)
    busy.meanwhile[busy._count + nth] = lambda: cleanup.remove_unreachable(ours, now=now) and None
    add(ours, 1)
    ours.publish(now=T0)
    assert {"retrained/digits/1"} == visible(busy)


@pytest.mark.parametrize(
    "ignored", [{"create"}, {"replace"}, {"create", "replace"}], ids=lambda ignored: " and ".join(sorted(ignored))
)
def test_a_storage_that_ignores_conditions_is_refused_before_anything_is_written(
    tmp_path: Path, ignored: set[str]
) -> None:
    class Careless(MemoryBlobs):
        def create(self, path: str, data: bytes) -> None:
            self.write(path, data) if "create" in ignored else super().create(path, data)

        def replace(self, path: str, data: bytes, tag: str) -> None:
            self.write(path, data) if "replace" in ignored else super().replace(path, data, tag)

    storage = Careless()
    with pytest.raises(errors.RejectedError, match="conditional writes"):
        ceremony.ensure(storage, tmp_path, now=T0)
    assert list(storage.entries("")) == []
    assert not (tmp_path / "root").exists()


class Counting(MemoryBlobs):
    """Counts what object storage would be asked."""

    reads = writes = 0

    def read(self, path: str, *, max_bytes: int) -> bytes:
        self.reads += 1
        return super().read(path, max_bytes=max_bytes)

    def entries(self, prefix: str) -> Iterator[Entry]:
        self.reads += 1
        return super().entries(prefix)

    def list(self, prefix: str) -> Iterator[str]:
        self.reads += 1
        return super().list(prefix)

    def write(self, path: str, data: bytes) -> None:
        self.writes += 1
        super().write(path, data)


def test_keeping_house_at_rest_writes_nothing_and_asks_little(tmp_path: Path) -> None:
    storage = Counting()
    online = ceremony.ensure(storage, tmp_path, now=T0)
    add(online, 1)
    online.publish(now=T0)
    storage.reads = storage.writes = 0
    online.refresh_if_due(now=T0)
    online.publish(now=T0)
    cleanup.remove_unreachable(online, now=T0)
    expiry.look(online.store)
    assert storage.writes == 0
    assert storage.reads < 40, "this comes every half minute"


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    """Initial metadata as the Secret `<f>-trust` holds it; its keys are in `keys/`."""
    ceremony.ensure(DirectoryBlobs(tmp_path / "made"), tmp_path / "keys", now=T0)
    return tmp_path / "made" / "metadata"


STORAGES: dict[str, Callable[[Path], SharedBlobs]] = {
    "memory": lambda _: MemoryBlobs(),
    "directory": lambda tmp: DirectoryBlobs(tmp / "repository"),
    "object storage": lambda _: RemoteBlobs(MemoryStore(), "memory:"),
    "S3": lambda tmp: blobs.open_shared(f"s3://{object_storage.BUCKET}{tmp}"),
}


@pytest.fixture(scope="module")
def s3() -> Iterator[object_storage.S3Server]:
    with object_storage.running() as server:
        yield server


@pytest.fixture(
    params=[pytest.param(name, marks=object_storage.requires_s3 if name == "S3" else ()) for name in STORAGES]
)
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SharedBlobs:
    if request.param == "S3":
        for name, value in request.getfixturevalue("s3").environment.items():
            monkeypatch.setenv(name, value)
    return STORAGES[request.param](tmp_path)


def test_a_seeded_repository_is_filled_once_and_goes_on_with_the_online_keys_alone(
    storage: SharedBlobs, seed: Path, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    shutil.copytree(tmp_path / "keys" / "online", tmp_path / "here" / "online")
    (seed / "timestamp.json.swp").write_text("no metadata")
    ours = ceremony.ensure(storage, tmp_path / "here", now=T0, seed=seed)
    add(ours, 1)
    ours.publish(now=T0)
    again = ceremony.ensure(storage, tmp_path / "here", now=T0, seed=seed)
    assert {"retrained/digits/1"} == visible(storage)
    assert again.highest_version("digits") == 1
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["online"], "no other key was made"


def test_the_whole_life_of_a_repository_on_any_storage(storage: SharedBlobs, tmp_path: Path) -> None:
    online = ceremony.ensure(storage, tmp_path / "keys", now=T0)
    publisher = repository.Repository(storage, keys.load(tmp_path / "keys" / "publisher"))
    add(online, 1)
    add(publisher, 2, store.IMPORTED)
    assert online.publish(now=T0) and not online.publish(now=T0)
    assert {"retrained/digits/1", "imported/digits/2"} == visible(storage)
    assert online.refresh_if_due(now=T0 + timedelta(hours=7))
    assert ceremony.rotate_root(storage, tmp_path / "keys", now=T0) == 2
    assert ceremony.rotate_online(storage, tmp_path / "keys", now=T0) == 3
    add(online, 3)  # the key that was rotated in is found without a restart
    online.retire({"retrained/digits/1"}, now=T0)
    assert online.publish(now=T0)
    later = datetime.now(UTC) + timedelta(hours=2)
    if not isinstance(storage, MemoryBlobs):
        assert cleanup.remove_unreachable(online, now=datetime.now(UTC)) == 0
    assert cleanup.remove_unreachable(online, now=later) > 2
    assert {"retrained/digits/3", "imported/digits/2"} == visible(storage)


@pytest.mark.parametrize("missing", ["1.root.json", "timestamp.json"])
def test_a_seed_that_is_none_is_named(seed: Path, tmp_path: Path, missing: str) -> None:
    (seed / missing).unlink()
    storage = MemoryBlobs()
    with pytest.raises(errors.InputError, match=r"SKERRY_TRUST_SEED .* must hold"):
        ceremony.ensure(storage, tmp_path / "keys", now=T0, seed=seed)
    assert list(storage.entries("")) == []


def test_a_seed_whose_copying_died_is_completed(seed: Path, tmp_path: Path) -> None:
    for last in range(1, 6):
        storage = Busy()

        def die() -> None:
            raise KeyboardInterrupt

        storage.meanwhile[last + 2] = die
        with pytest.raises(KeyboardInterrupt):
            ceremony.ensure(storage, tmp_path / "keys", now=T0, seed=seed)
        assert not storage.exists("metadata/timestamp.json")
        add(ceremony.ensure(storage, tmp_path / "keys", now=T0, seed=seed), 1)
