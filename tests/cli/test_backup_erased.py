"""A backup brings back what was erased since it was taken: it is erased again."""

import json
from pathlib import Path

import backups
import pytest
from cli_system import StillSystem

from skerry.core import contract


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A backup with one erasure in it, that was complete."""
    folder = tmp_path / "saved"
    folder.mkdir()
    saved = backups.furnished(StillSystem(folder))
    saved.objects.create("Erasure", "old", {"request": "visit"}, manager="operator")
    done = {"number": 5, "examples": 1, "conditions": [{"type": "Complete", "status": "True", "reason": "Erased"}]}
    saved.objects.patch("Erasure", "old", status=done, manager="controller")
    to = tmp_path / "b.tar"
    saved.good("backup", str(to), *where(saved))
    return to


def where(system: StillSystem) -> list[str]:
    found = system.description
    return ["--objects", found.objects, "--blobs", found.blobs, "--repository", found.repository]


def test_an_erasure_in_the_backup_begins_again_and_keeps_its_number(archive: Path, tmp_path: Path) -> None:
    into = backups.empty(tmp_path / "into")
    told = into.good("restore", str(archive), *where(into))
    assert "1 erasures stand" in told and "what was erased after the backup is in it again" in told
    assert into.objects.get("Erasure", "old").status == {"number": 5}


def test_newer_erasures_of_the_system_stand_and_begin_again(archive: Path, tmp_path: Path) -> None:
    into = backups.empty(tmp_path / "into")
    into.objects.create("Erasure", "new", {"node": "edge-1"}, manager="operator")
    done = {"number": 9, "conditions": [{"type": "Complete", "status": "True", "reason": "Erased"}]}
    into.objects.patch("Erasure", "new", status=done, manager="controller")
    uid = into.objects.get("Erasure", "new").uid
    into.blobs.write(contract.erasure_path("new"), b"done")
    into.good("restore", str(archive), "--merge", *where(into))
    again = into.objects.get("Erasure", "new")
    assert (again.spec, again.status) == ({"node": "edge-1"}, {"number": 9})
    assert again.uid != uid and not into.blobs.exists(contract.erasure_path("new"))


def test_a_list_that_was_kept_beside_the_backups_stands_too(archive: Path, tmp_path: Path) -> None:
    live = backups.empty(tmp_path / "live")
    live.good("erase", "--request", "later", "--yes", "--wait", "0")
    kept = tmp_path / "erasures.json"
    kept.write_text(live.good("erase", "list", "--json"))
    into = backups.empty(tmp_path / "into")
    into.good("restore", str(archive), "--erasures", str(kept), *where(into))
    assert {one.spec.get("request") for one in into.objects.list("Erasure")} == {"visit", "later"}
    kept.write_text(json.dumps([{"name": "x", "spec": {"node": "a", "request": "b"}}]))
    other = backups.empty(tmp_path / "other")
    assert "the only one" in other.bad(2, "restore", str(archive), "--erasures", str(kept), *where(other))
    kept.write_text("{}x")
    assert "is no list of erasures" in other.bad(2, "restore", str(archive), "--erasures", str(kept), *where(other))
    assert other.objects.list("Erasure") == []
