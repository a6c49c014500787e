"""`skerry keys`: what is about to end is told, renewing, rotation and recovery by commands."""

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mirror
import pytest
from cli_system import StillSystem
from tuf.api.metadata import Metadata, Timestamp

from skerry.adapters import blobs, pki
from skerry.adapters.trust import ceremony, client, expiry, keys, repository
from skerry.cli.keys import key_status
from skerry.core import digests


@pytest.fixture
def still(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    return StillSystem(tmp_path / "state")


@pytest.fixture
def founded(still: StillSystem) -> StillSystem:
    storage = blobs.open_shared(still.description.repository)
    ceremony.ensure(storage, Path(still.description.keys), now=datetime.now(UTC))
    return still


def shown(system: StillSystem, *words: str | Path) -> dict[str, Any]:
    return {row["role"]: row for row in json.loads(system.good("keys", "show", "--json", *words))}


def test_every_role_is_shown_with_its_keeper_and_its_end(founded: StillSystem, tmp_path: Path) -> None:
    rows = shown(founded)
    assert {role: (row["custodian"], row["here"]) for role, row in rows.items()} == {
        "root": ("root", True),
        "targets": ("publisher", True),
        "imported": ("publisher", True),
        "retrained": ("online", True),
        "snapshot": ("online", True),
        "timestamp": ("online", True),
    }
    assert [row["daysLeft"] for row in rows.values()] == [364, 89, 89, 89, 13, 1]
    assert not any(row["warning"] for row in rows.values())
    (Path(founded.description.keys) / "root").rename(tmp_path / "safe")
    assert not shown(founded)["root"]["here"]
    (tmp_path / "ca.crt").write_bytes(pki.make_ca("x", now=datetime.now(UTC) - timedelta(days=3300)).certificate)
    issuer = shown(founded, "--issuer", tmp_path / "ca.crt")["issuer"]
    assert "plan a new authority" in issuer["warning"]
    assert "publisher" in founded.good("keys", "show")


@pytest.mark.parametrize(
    ("later", "warned"),
    [
        (timedelta(0), []),
        (timedelta(hours=13), ["timestamp"]),
        (timedelta(days=10), ["timestamp", "snapshot"]),
        (timedelta(days=63), ["timestamp", "snapshot", "targets", "imported"]),
        (timedelta(days=75), ["timestamp", "snapshot", "targets", "imported", "retrained"]),
        (timedelta(days=400), ["timestamp", "snapshot", "targets", "imported", "retrained", "root"]),
    ],
    ids=str,
)
def test_what_is_near_its_end_is_told_in_time(founded: StillSystem, later: timedelta, warned: list[str]) -> None:
    storage = blobs.open_shared(founded.description.repository)
    rows = key_status.read(storage, None, now=datetime.now(UTC) + later)
    assert {row.role for row in rows if row.warning} == set(warned)
    if later > timedelta(days=365):
        assert next(row.warning for row in rows if row.role == "root").startswith("has ended")


def test_renewing_signs_what_is_due_and_only_with_the_keys_that_are_here(founded: StillSystem, tmp_path: Path) -> None:
    assert "nothing is due" in founded.good("keys", "renew")
    assert "renewed root, targets, imported" in founded.good("keys", "renew", "--all")
    (Path(founded.description.keys) / "root").rename(tmp_path / "safe-root")
    assert "renewed targets, imported" in founded.good("keys", "renew", "--all")
    (Path(founded.description.keys) / "publisher").rename(tmp_path / "safe-publisher")
    assert "bring one of them" in founded.bad(3, "keys", "renew")
    storage = blobs.open_shared(founded.description.repository)
    online = repository.Repository(storage, keys.load(Path(founded.description.keys) / "online"))
    assert online.publish(now=datetime.now(UTC)), "the controller shows it to the nodes"


def test_a_rotation_without_the_root_key_says_where_it_should_be(founded: StillSystem, tmp_path: Path) -> None:
    (Path(founded.description.keys) / "root").rename(tmp_path / "safe")
    for what in ("root", "publisher", "online"):
        assert "kept offline" in founded.bad(3, "keys", "rotate", what)
    assert shown(founded)["root"]["version"] == 1


class Node:
    """A node that fetches from a mirror of the repository."""

    def __init__(self, system: StillSystem, tmp: Path, served: mirror.Mirror) -> None:
        root = (system.folder / "repository" / "metadata" / "1.root.json").read_bytes()
        self._client, self._tmp = client.TrustClient(tmp / "node", root, served.url), tmp

    def fetch(self, prefix: str) -> int:
        found = self._client.fetch(prefix, self._tmp / "fetched", 1 << 20, now=datetime.now(UTC))
        return int(found.custom["version"])


def published(system: StillSystem, version: int) -> str:
    files = {"manifest.json": json.dumps({"model": "digits", "files": {}}).encode() + b" " * version}
    storage = blobs.open_shared(system.description.repository)
    online = repository.Repository(storage, keys.load(Path(system.description.keys) / "online"))
    digest = digests.sha256(files["manifest.json"])
    path = online.add_version("retrained", "digits", version, digest, files, now=datetime.now(UTC))
    online.publish(now=datetime.now(UTC))
    return path


def test_the_way_back_after_a_thief_published_enormous_numbers(founded: StillSystem, tmp_path: Path) -> None:
    """The runbook of docs/how-to/operations.md: the node believes nothing honest until the online keys are new."""
    served = mirror.Mirror(founded.folder / "repository")
    try:
        node, prefix = Node(founded, tmp_path, served), published(founded, 1)
        stolen = keys.load(Path(founded.description.keys) / "online")
        honest = (founded.folder / "repository" / "metadata" / "timestamp.json").read_bytes()
        forged: Metadata[Timestamp] = Metadata.from_bytes(honest)
        forged.signed.version = 99_999
        forged.signatures.clear()
        for keyid in ceremony_keys(founded):
            forged.sign(stolen[keyid], append=True)
        served.overrides["metadata/timestamp.json"] = forged.to_bytes()
        node.fetch(prefix)
        served.overrides.clear()
        with pytest.raises(client.UntrustedMetadataError, match="older than was seen"):
            node.fetch(prefix)
        assert "the online keys are new; root is now version 2" in founded.good("keys", "rotate", "online")
        assert node.fetch(prefix) == 1
        assert node.fetch(published(founded, 2)) == 2
        served.overrides["metadata/timestamp.json"] = forged.to_bytes()
        with pytest.raises(client.UntrustedMetadataError):
            node.fetch(prefix)
        served.overrides.clear()
        for what, version in (("publisher", 3), ("root", 4)):
            assert f"root is now version {version}" in founded.good("keys", "rotate", what)
            assert node.fetch(prefix) == 1
        assert {role: row["here"] for role, row in shown(founded).items()} == dict.fromkeys(expiry.ROLES, True)
    finally:
        served.close()


def ceremony_keys(system: StillSystem) -> list[str]:
    root = json.loads((system.folder / "repository" / "metadata" / "1.root.json").read_bytes())
    return list(root["signed"]["roles"]["timestamp"]["keyids"])


@pytest.mark.parametrize("what", ["publisher", "online"])
def test_keys_that_were_lost_are_replaced_with_the_root_key(founded: StillSystem, tmp_path: Path, what: str) -> None:
    served = mirror.Mirror(founded.folder / "repository")
    try:
        node, prefix = Node(founded, tmp_path, served), published(founded, 1)
        node.fetch(prefix)
        (Path(founded.description.keys) / what).rename(tmp_path / "lost")
        if what == "publisher":
            assert "kept offline" in founded.bad(3, "keys", "rotate", what)
        founded.good("keys", "rotate", what, *(["--lost"] if what == "publisher" else []))
        assert node.fetch(prefix) == 1
        assert node.fetch(published(founded, 2)) == 2
        assert all(row["here"] for row in shown(founded).values())
    finally:
        served.close()


def test_the_publishers_rotation_waits_for_a_controller_that_runs(founded: StillSystem, tmp_path: Path) -> None:
    """As in a cluster, where the online keys are the controller's alone."""
    storage = blobs.open_shared(founded.description.repository)
    (Path(founded.description.keys) / "online").rename(tmp_path / "online")
    controller = repository.Repository(storage, keys.load(tmp_path / "online"))
    done = threading.Event()

    def control() -> None:
        while not done.wait(0.1):
            controller.publish(now=datetime.now(UTC))

    thread = threading.Thread(target=control)
    thread.start()
    try:
        assert "root is now version 2" in founded.good("keys", "rotate", "publisher")
    finally:
        done.set()
        thread.join()
    assert shown(founded)["imported"]["here"]
