"""Encrypted archives: whole or refused, whatever is cut, changed, moved, left out or taken from another one."""

import io
from collections.abc import Callable
from pathlib import Path

import backups
import pytest
from cli_system import StillSystem

from skerry.cli.backup import encryption
from skerry.core import errors

PASSPHRASE = b"correct horse battery"
CHUNK = encryption.CHUNK_BYTES
SEALED = CHUNK + 16
HEAD = len(encryption.MAGIC) + 16


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guessing may cost nothing here: what is asked for is the same."""
    monkeypatch.setattr(encryption, "_COST", 2**4)


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    """A system with something of everything."""
    (tmp_path / "state").mkdir()
    return backups.furnished(StillSystem(tmp_path / "state"))


def seal(data: bytes, passphrase: bytes = PASSPHRASE, step: int = 10_000) -> bytes:
    out = io.BytesIO()
    sealed = encryption.EncryptingWriter(out, passphrase)
    for at in range(0, len(data), step):
        sealed.write(data[at : at + step])
    sealed.finish()
    return out.getvalue()


def unseal(data: bytes, passphrase: bytes | None = PASSPHRASE) -> bytes:
    return encryption.decrypted(io.BytesIO(data), passphrase).read()


def content(size: int) -> bytes:
    return bytes(index * 7 % 251 for index in range(size))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5])
@pytest.mark.parametrize("step", [1000, CHUNK, 10 * CHUNK])
def test_what_was_sealed_is_opened(size: int, step: int) -> None:
    data = content(size)
    sealed = seal(data, step=step)
    assert unseal(sealed) == data
    assert data[:64] not in sealed or size < 16
    assert len(sealed) == HEAD + size + 16 * max(1, -(-size // CHUNK))


def test_an_archive_of_an_earlier_time_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in people's cupboards: its parameters may not change under the same first line."""
    monkeypatch.undo()
    kept = bytes.fromhex("034866ac28bcd1d2dac0517e365b56dfd68d93c546b7972fa522484995f35593a1f2c87a7e88917a")
    assert unseal(encryption.MAGIC + kept) == b"a backup"


def test_equal_content_is_sealed_differently_each_time() -> None:
    assert seal(b"x" * 100)[HEAD:] != seal(b"x" * 100)[HEAD:]


def _chunks(sealed: bytes) -> tuple[bytes, list[bytes]]:
    return sealed[:HEAD], [sealed[at : at + SEALED] for at in range(HEAD, len(sealed), SEALED)]


def _edit(change: Callable[[list[bytes]], object]) -> Callable[[bytes], bytes]:
    def edit(sealed: bytes) -> bytes:
        head, chunks = _chunks(sealed)
        change(chunks)
        return head + b"".join(chunks)

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(_edit(lambda chunks: chunks.pop()), id="cut between two chunks"),
        pytest.param(_edit(lambda chunks: chunks.pop(1)), id="a chunk left out"),
        pytest.param(_edit(lambda chunks: chunks.reverse()), id="chunks in another order"),
        pytest.param(_edit(lambda chunks: chunks.insert(1, chunks[1])), id="a chunk twice"),
        pytest.param(_edit(lambda chunks: chunks.append(chunks[-1])), id="the last one twice"),
        pytest.param(_edit(lambda chunks: chunks.clear()), id="a head alone"),
        pytest.param(lambda sealed: sealed[:-1], id="a byte less"),
        pytest.param(lambda sealed: sealed + b"x", id="a byte more"),
        pytest.param(
            lambda sealed: sealed[:HEAD] + seal(content(3 * CHUNK + 5))[HEAD:], id="chunks of another archive"
        ),
        pytest.param(lambda sealed: sealed[: HEAD - 4], id="half a head"),
    ],
)
def test_what_was_put_together_otherwise_is_refused(edit: Callable[[bytes], bytes]) -> None:
    with pytest.raises(errors.IntegrityError, match="cut or was changed"):
        unseal(edit(seal(content(3 * CHUNK + 5))))


def test_a_flipped_bit_is_found_wherever_it_is() -> None:
    sealed = seal(content(CHUNK + 100))
    places = [
        *range(len(encryption.MAGIC), HEAD),
        HEAD,
        HEAD + CHUNK - 1,
        HEAD + SEALED - 1,
        HEAD + SEALED,
        len(sealed) - 1,
    ]
    for at in places:
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(errors.IntegrityError):
            unseal(bytes(changed))


def test_nothing_is_read_behind_a_chunk_that_is_not_right() -> None:
    sealed = bytearray(seal(content(4 * CHUNK)))
    sealed[HEAD + SEALED + 5] ^= 1
    reading = encryption.decrypted(io.BytesIO(bytes(sealed)), PASSPHRASE)
    read = bytearray()
    with pytest.raises(errors.IntegrityError, match=f"from byte {CHUNK} on"):
        while True:
            read += reading.read(1000)
    assert bytes(read) == content(4 * CHUNK)[: len(read)] and len(read) <= CHUNK


def test_another_passphrase_opens_nothing() -> None:
    with pytest.raises(errors.IntegrityError, match="another passphrase"):
        unseal(seal(b"secret" * 9), b"wrong horse battery")


def test_who_gives_a_passphrase_takes_nothing_that_anybody_could_have_written() -> None:
    with pytest.raises(errors.RejectedError, match="not encrypted"):
        unseal(b"plain" * 100)
    assert unseal(b"plain" * 100, None) == b"plain" * 100
    with pytest.raises(errors.InputError, match="--passphrase-file"):
        unseal(seal(b"sealed"), None)


@pytest.mark.parametrize("text", [b"", b"short\n", b"eleven char\n"])
def test_a_passphrase_that_is_guessed_at_once_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "passphrase").write_bytes(text)
    with pytest.raises(errors.InputError, match="12 characters"):
        encryption.read_passphrase(tmp_path / "passphrase")


@pytest.mark.parametrize("name", ["b.tar", "b.tar.gz"])
def test_a_system_with_its_keys_goes_through_an_encrypted_archive(
    system: StillSystem, tmp_path: Path, name: str
) -> None:
    file, archive = tmp_path / "passphrase", tmp_path / name
    file.write_bytes(PASSPHRASE + b"\n")
    told = system.good("backup", "--keys", "--passphrase-file", file, archive)
    assert "private keys" not in told
    data = archive.read_bytes()
    pem = next((system.folder / "keys" / "online").glob("*.pem")).read_bytes()
    assert data.startswith(encryption.MAGIC) and b"objects/" not in data and pem not in data
    assert "is whole" in system.good("restore", "--check", "--passphrase-file", file, archive)
    back = backups.empty(tmp_path / "back")
    back.good("restore", "--passphrase-file", file, archive)
    assert backups.tree(back.folder / "keys") == backups.tree(system.folder / "keys")
    assert backups.told(back.objects) == backups.told(system.objects)


def test_an_encrypted_archive_says_what_it_needs(system: StillSystem, tmp_path: Path) -> None:
    file, archive = tmp_path / "passphrase", tmp_path / "b.tar"
    file.write_bytes(PASSPHRASE)
    system.good("backup", "--passphrase-file", file, archive)
    back = backups.empty(tmp_path / "back")
    assert "the archive is encrypted: give --passphrase-file" in back.bad(2, "restore", archive)
    archive.write_bytes(archive.read_bytes()[:-1])
    assert "cut or was changed" in back.bad(5, "restore", "--passphrase-file", file, archive)
    assert not back.objects.list("EdgeModel")
