"""An archive counts whole or not at all: flipped, cut, rewritten, or none."""

import io
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from backups import furnished, is_untouched
from cli_system import StillSystem

from skerry.cli.backup import restoring
from skerry.cli.locations import Locations
from skerry.core import errors


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    """A system with something of everything."""
    (tmp_path / "state").mkdir()
    return furnished(StillSystem(tmp_path / "state"))


def refused(archived: bytes, tmp_path: Path) -> str:
    """The reason why an archive is not restored; nothing of it counts."""
    folder = tmp_path / "other"
    shutil.rmtree(folder, ignore_errors=True)
    locations = Locations(f"sqlite:///{folder}/objects.db", f"file://{folder}/blobs", f"file://{folder}/repository")
    with pytest.raises((errors.IntegrityError, errors.InputError)) as caught:
        restoring.restore(locations, io.BytesIO(archived), merge=False)
    assert is_untouched(folder)
    with pytest.raises((errors.IntegrityError, errors.InputError)):
        restoring.check(io.BytesIO(archived))
    return str(caught.value)


@pytest.fixture
def archived(system: StillSystem, tmp_path: Path) -> bytes:
    system.good("backup", tmp_path / "b.tar")
    return (tmp_path / "b.tar").read_bytes()


@pytest.mark.long
def test_a_flipped_byte_is_found_wherever_it_is_or_means_nothing(archived: bytes, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archived)) as tar:
        entries = [(one.offset, one.offset_data, one.size, one.name) for one in tar]
    found = 0
    for _, start, size, name in entries:
        for position in {start, start + size // 2, start + size - 1}:
            flipped = archived[:position] + bytes([archived[position] ^ 1]) + archived[position + 1 :]
            assert refused(flipped, tmp_path), name
            found += 1
    assert found > 40
    for position in range(0, len(archived), 4099):  # headers and padding too
        flipped = archived[:position] + bytes([archived[position] ^ 4]) + archived[position + 1 :]
        try:
            manifest_ = restoring.check(io.BytesIO(flipped))
        except (errors.IntegrityError, errors.InputError):
            continue
        assert manifest_ == restoring.check(io.BytesIO(archived)), "padding and times are nobody's business"


def test_an_archive_that_was_cut_anywhere_is_refused(archived: bytes, tmp_path: Path) -> None:
    end = archived.rstrip(b"\0")
    for length in [*range(0, len(end), 5003), *range(0, len(end), 10_240), len(end) - 1]:
        assert refused(archived[:length], tmp_path)


def rewritten(archived: bytes, edit: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> bytes:
    """The archive with other entries, each with a digest that is right."""
    with tarfile.open(fileobj=io.BytesIO(archived)) as tar:
        entries = [(one, source.read()) for one in tar if (source := tar.extractfile(one)) is not None]
    edit(entries)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for one, data in entries:
            tar.addfile(one, io.BytesIO(data))
    return out.getvalue()


def _add(name: str) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    def edit(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        fresh = tarfile.TarInfo(name)
        fresh.size, fresh.pax_headers = (
            0,
            {"SKERRY.sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        )
        entries.insert(1, (fresh, b""))

    return edit


def _link(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    entries[0][0].type, entries[0][0].linkname = tarfile.SYMTYPE, "/etc/passwd"


EDITS: dict[str, tuple[Callable[[list[tuple[tarfile.TarInfo, bytes]]], None], str]] = {
    "an entry is missing": (lambda entries: entries.pop(3) and None, "something is missing"),
    "an entry was added": (_add("blobs/sha256/aa/bb"), "something is missing or was moved"),
    "two entries changed locations": (lambda entries: entries.insert(0, entries.pop(2)), "something is missing"),
    "an entry was renamed": (lambda entries: setattr(entries[-2][0], "name", "blobs/x"), "something is missing"),
    "an entry climbs out": (_add("blobs/../../etc/cron"), "which no backup does"),
    "an absolute entry": (_add("/etc/passwd"), "which no backup does"),
    "a link": (_link, "is no file"),
    "the manifest is missing": (lambda entries: entries.pop() and None, "ends before its manifest"),
    "something behind the manifest": (lambda entries: entries.append(entries[0]), "goes on behind its manifest"),
    "another part": (_add("elsewhere/x"), "another version of skerry|something is missing"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_archive_that_somebody_put_together_otherwise_is_refused(archived: bytes, tmp_path: Path, name: str) -> None:
    edit, reason = EDITS[name]
    assert re.search(reason, refused(rewritten(archived, edit), tmp_path))


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x1f\x8b broken", b"\0" * 10_240])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    assert refused(data, tmp_path)
