"""Backup and restore: all comes back, nothing that is there is written over, nobody acts on half of it."""

import gzip
import json
import stat
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from apiserver_process import ApiServer, requires_apiserver
from backups import empty, furnished, is_untouched, places_of, told, tree
from cli_system import StillSystem
from click.testing import CliRunner

from skerry.adapters import blobs as blob_store
from skerry.adapters import files, lease, objects
from skerry.adapters.objects.memory import MemoryObjects
from skerry.adapters.trust import ceremony
from skerry.cli import main
from skerry.cli.backup import restoring, saving
from skerry.core import errors


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    """A system with something of everything."""
    (tmp_path / "state").mkdir()
    return furnished(StillSystem(tmp_path / "state"))


def test_everything_comes_back(system: StillSystem, tmp_path: Path) -> None:
    assert "5 objects, 9 blobs" in system.good("backup", tmp_path / "b.tar")
    other = empty(tmp_path / "other")
    said = other.good("restore", tmp_path / "b.tar")
    assert "restored: 5 objects, 9 blobs" in said
    assert told(other.objects) == told(system.objects)
    for part in ("blobs", "repository", "teacher"):
        assert tree(other.folder / part) == tree(system.folder / part) != {}
    assert not (other.folder / "keys").exists()
    assert stat.S_IMODE((tmp_path / "b.tar").stat().st_mode) == 0o600


def test_a_system_that_wakes_up_has_no_connected_node_and_goes_on_above_every_number_that_nodes_may_know(
    system: StillSystem, tmp_path: Path
) -> None:
    system.good("backup", tmp_path / "b.tar")
    other = empty(tmp_path / "other")
    other.good("restore", tmp_path / "b.tar")
    assert other.objects.get("EdgeNode", "edge-1").status["connected"] is False
    assert other.objects.get("ModelRollout", "digits-v1-auto").status["epoch"] == 7 + restoring.EPOCH_STEP
    assert other.objects.get("EdgeModel", "digits").status["releaseCounter"] == 1 + restoring.RELEASE_STEP
    epoch = lease.open_lease(other.description.objects, "controller").acquire("next")
    assert epoch is not None and epoch > 7 + restoring.EPOCH_STEP


def test_keys_are_saved_only_when_asked_for_and_come_back_private(system: StillSystem, tmp_path: Path) -> None:
    result = system.run("backup", tmp_path / "b.tar", "--keys", "--json")
    assert "private keys" in result.stderr and json.loads(result.stdout)["keys"] == 5
    other = empty(tmp_path / "other")
    other.good("restore", tmp_path / "b.tar")
    assert tree(other.folder / "keys") == tree(system.folder / "keys")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (other.folder / "keys").rglob("*.pem")} == {0o600}


def test_a_compressed_archive_is_restored_alike(system: StillSystem, tmp_path: Path) -> None:
    system.good("backup", tmp_path / "b.tar.gz")
    assert b"manifest.json" in gzip.decompress((tmp_path / "b.tar.gz").read_bytes())
    other = empty(tmp_path / "other")
    other.good("restore", tmp_path / "b.tar.gz")
    assert told(other.objects) == told(system.objects)


def test_a_pipe_will_do(system: StillSystem, tmp_path: Path) -> None:
    words = ["--state", str(system.folder)]
    saved = CliRunner().invoke(main.main, ["backup", "-", *words])
    assert saved.exit_code == 0, saved.stderr
    other = empty(tmp_path / "other")
    back = CliRunner().invoke(main.main, ["restore", "-", "--state", str(other.folder)], input=saved.stdout_bytes)
    assert back.exit_code == 0, back.output
    assert told(other.objects) == told(system.objects)


def test_an_archive_is_never_written_over(system: StillSystem, tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_bytes(b"the last one")
    assert "exists already" in system.bad(2, "backup", tmp_path / "b.tar")
    assert (tmp_path / "b.tar").read_bytes() == b"the last one"


def test_what_was_never_started_cannot_be_saved_and_leaves_no_file(tmp_path: Path) -> None:
    still = empty(tmp_path / "state")
    assert "no model repository yet" in still.bad(2, "backup", tmp_path / "b.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_content_that_objects_name_and_nobody_has_is_told(system: StillSystem, tmp_path: Path) -> None:
    lost = "sha256:" + "0" * 64
    system.objects.patch("EdgeModel", "digits", manager="operator", spec={"datasetDigest": lost})
    result = system.run("backup", tmp_path / "b.tar")
    assert result.exit_code == 0 and lost in result.stderr


def test_a_damaged_blob_is_found_when_it_is_saved(system: StillSystem, tmp_path: Path) -> None:
    path = next((system.folder / "blobs" / "sha256").rglob("*/*"))
    path.write_bytes(b"other")
    assert path.name in system.bad(5, "backup", tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()


def test_a_restore_into_what_is_not_empty_is_refused_and_changes_nothing(system: StillSystem, tmp_path: Path) -> None:
    system.good("backup", tmp_path / "b.tar")
    other = empty(tmp_path / "other")
    other.objects.create("EdgeFleet", "mine", {"selector": {}}, manager="operator")
    assert "is not empty" in other.bad(3, "restore", tmp_path / "b.tar")
    assert list(told(other.objects)) == ["EdgeFleet/mine"]
    assert not (other.folder / "blobs").exists()


@pytest.mark.parametrize(
    ("fleet", "code"),
    [
        pytest.param({}, 0, id="as the chart makes it"),
        pytest.param({"selector": {}, "maxUnavailable": 1, "offlineAfterSeconds": 15}, 0, id="with its defaults"),
        pytest.param({"maxUnavailable": 2}, 3, id="somebody changed it"),
        pytest.param({"selector": {"line": "press"}}, 3, id="somebody's own"),
    ],
)
def test_the_fleet_that_every_installation_makes_is_no_hindrance(
    system: StillSystem, tmp_path: Path, fleet: dict[str, object], code: int
) -> None:
    system.good("backup", tmp_path / "b.tar")
    other = empty(tmp_path / "other")
    other.objects.create("EdgeFleet", "all", fleet, manager="operator")
    if code:
        assert "is not empty" in other.bad(code, "restore", tmp_path / "b.tar")
        return
    other.good("restore", tmp_path / "b.tar")
    assert {key: value for key, value in told(other.objects).items() if key != "EdgeFleet/all"} == {
        key: value for key, value in told(system.objects).items() if key != "EdgeFleet/all"
    }


def test_a_merge_replaces_what_has_the_same_name_and_keeps_the_rest(system: StillSystem, tmp_path: Path) -> None:
    system.good("backup", tmp_path / "b.tar")
    before = told(system.objects)
    system.objects.create("EdgeFleet", "later", {"selector": {}}, manager="operator")
    system.objects.patch("EdgeNode", "edge-1", manager="operator", spec={"labels": {"line": "9"}})
    signing = ceremony.ensure(
        blob_store.open_shared(system.description.repository), Path(system.description.keys), now=datetime.now(UTC)
    )
    signing.retire({"retrained/digits/1"}, now=datetime.now(UTC))
    signing.publish(now=datetime.now(UTC))
    newer = tree(system.folder / "repository")
    system.good("restore", tmp_path / "b.tar", "--merge")
    after = told(system.objects)
    assert after.pop("EdgeFleet/later") and after == before
    assert tree(system.folder / "repository") == newer, "a repository that is there is at least as new"
    system.good("restore", tmp_path / "b.tar", "--merge")
    assert before == {key: value for key, value in told(system.objects).items() if key in before}


def test_nobody_acts_on_half_a_system(system: StillSystem, tmp_path: Path) -> None:
    system.good("backup", tmp_path / "b.tar")
    other = empty(tmp_path / "other")
    leading = lease.open_lease(other.description.objects, "controller")
    assert leading.acquire("controller")
    assert "a controller leads: stop it first" in other.bad(3, "restore", tmp_path / "b.tar")
    assert told(other.objects) == {}
    leading.release()
    other.good("restore", tmp_path / "b.tar")


def test_check_only_reads(system: StillSystem, tmp_path: Path) -> None:
    system.good("backup", tmp_path / "b.tar")
    other = empty(tmp_path / "other")
    assert "is whole" in other.good("restore", tmp_path / "b.tar", "--check")
    assert is_untouched(other.folder)


def test_a_restore_that_died_is_run_again(system: StillSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system.good("backup", tmp_path / "b.tar")
    other = empty(tmp_path / "other")
    real, count = files.write, 0

    def write(path: Path, data: bytes, *, mode: int = 0o644) -> None:
        nonlocal count
        count += 1
        if count == 8:
            raise KeyboardInterrupt
        real(path, data, mode=mode)

    monkeypatch.setattr(files, "write", write)
    with pytest.raises(KeyboardInterrupt), (tmp_path / "b.tar").open("rb") as source:
        restoring.restore(places_of(other), source, merge=False)
    monkeypatch.undo()
    other.good("restore", tmp_path / "b.tar")
    assert told(other.objects) == told(system.objects)


class Appearing(MemoryObjects):
    """Objects that change while they are looked at."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def list(self, kind: str) -> Any:
        found = super().list(kind)
        self._meanwhile()
        return found


def test_whatever_an_object_names_is_in_the_archive_though_writers_go_on(
    system: StillSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version is published after the objects were read, and its content is cleaned up before blobs are: neither
    leaves a name without content."""
    store, count = system.objects, 0

    def publish_more() -> None:
        nonlocal count
        count += 1
        digest = blob_store.put(system.blobs, f"content {count}".encode())
        store.create("ModelVersion", f"later-v{count}", {"digest": digest, "model": "x"}, manager="controller")

    watched = Appearing(publish_more)
    for kind in saving.KINDS:
        for thing in store.list(kind):
            watched.restore(thing)
    monkeypatch.setattr(saving.object_store, "open_objects", lambda url: watched)
    with (tmp_path / "b.tar").open("wb") as out:
        manifest_ = saving.save(places_of(system), out, with_keys=False, now_unix_ms=0)
    assert count == len(saving.KINDS) and manifest_["missing"] == []


def settled(url: str) -> None:
    """Wait until a young API server answers for every kind."""
    store, end = objects.open_objects(url), time.monotonic() + 20
    for kind in saving.KINDS:
        while True:
            try:
                store.list(kind)
                break
            except errors.UnavailableError:
                assert time.monotonic() < end
                time.sleep(0.2)


@requires_apiserver
def test_a_cluster_gets_everything_back_and_knows_when_it_was_made(
    system: StillSystem, tmp_path: Path, permissive_apiserver: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(permissive_apiserver.kubeconfig))
    system.good("backup", tmp_path / "b.tar")
    url = f"kubernetes://{permissive_apiserver.namespace()}"
    settled(url)
    where = ("--objects", url, "--blobs", f"file://{tmp_path}/b", "--repository", f"file://{tmp_path}/r")
    system.good("restore", tmp_path / "b.tar", *where)
    there = objects.open_objects(url)
    assert told(there) == told(system.objects)
    assert "is not empty" in system.bad(3, "restore", tmp_path / "b.tar", *where)
    system.good("restore", tmp_path / "b.tar", *where, "--merge")
    assert told(there) == told(system.objects)
    system.good("backup", tmp_path / "again.tar", *where)
    home = empty(tmp_path / "home")
    home.good("restore", tmp_path / "again.tar")
    assert told(home.objects) == told(system.objects)
    leading = lease.open_lease(url, "controller")
    epoch = leading.acquire("next")
    leading.release()
    assert epoch is not None and epoch > 7 + restoring.EPOCH_STEP


def test_half_of_where_a_system_is_is_refused(system: StillSystem, tmp_path: Path) -> None:
    text = system.bad(2, "backup", tmp_path / "b.tar", "--objects", "kubernetes://x", "--blobs", "file:///x")
    assert "--blobs and --repository" in text
