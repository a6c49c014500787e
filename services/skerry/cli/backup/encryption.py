"""Encryption of an archive with a passphrase, front to back: AES-256-GCM over chunks, the key by scrypt.

A chunk's nonce is its number and whether it is the last, so that none can be changed, moved, left out or taken from
another archive, and a cut is seen: every archive has a key of its own, by its salt. What is sealed is `archive`'s.
"""

import io
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from skerry.core import errors

MAGIC = b"skerry sealed 1\n"  # says all of the parameters below
CHUNK_BYTES = 64 << 10
SHORTEST = 12  # characters of a passphrase
_SALT_BYTES, _TAG_BYTES = 16, 16
_COST = 2**17  # 128 MiB and a third of a second, for who guesses, too


def read_passphrase(file: Path) -> bytes:
    """The passphrase in a file, without the end of its line. Raises InputError."""
    try:
        passphrase = file.read_bytes().strip(b"\r\n")
    except OSError as exc:
        raise errors.InputError(f"the passphrase cannot be read from {file}: {exc.strerror}") from exc
    if len(passphrase) < SHORTEST:
        raise errors.InputError(f"the passphrase in {file} must have {SHORTEST} characters and more")
    return passphrase


class EncryptingWriter:
    """Encrypts what is written to it into `out`. Without `finish` the archive is cut. Raises UnavailableError."""

    def __init__(self, out: IO[bytes], passphrase: bytes) -> None:
        self._out, self._waiting, self._number = out, bytearray(), 0
        self._head = MAGIC + os.urandom(_SALT_BYTES)
        self._cipher = _cipher(passphrase, self._head)
        self._send(self._head)

    def write(self, data: bytes) -> int:
        self._waiting += data
        while len(self._waiting) > CHUNK_BYTES:  # a whole one that is not the last
            self._seal(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]
        return len(data)

    def flush(self) -> None:
        """Chunks go out when they are whole."""

    def finish(self) -> None:
        self._seal(bytes(self._waiting), last=True)

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        self._send(self._cipher.encrypt(_nonce(self._number, last=last), chunk, self._head))
        self._number += 1

    def _send(self, data: bytes) -> None:
        try:
            self._out.write(data)
        except OSError as exc:
            raise errors.UnavailableError(f"cannot write the backup: {exc.strerror or exc}; free space") from exc


def decrypted(source: IO[bytes], passphrase: bytes | None) -> IO[bytes]:
    """`source` as it was before it was sealed, or as it is when it never was; reading it raises IntegrityError.

    Raises InputError when it is sealed and no passphrase is given, RejectedError when one is given and it is not
    sealed: anybody may have written it.
    """
    magic = source.read(len(MAGIC))
    if magic == MAGIC:
        if passphrase is None:
            raise errors.InputError("the archive is encrypted: give --passphrase-file")
        return io.BufferedReader(_DecryptingReader(_chunks(source, passphrase)))
    if passphrase is not None:
        raise errors.RejectedError("the archive is not encrypted: leave the passphrase out if you trust it")
    return io.BufferedReader(_DecryptingReader(itertools.chain([magic], iter(lambda: source.read(CHUNK_BYTES), b""))))


class _DecryptingReader(io.RawIOBase):
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._left = chunks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = chunk
        taken = min(len(buffer), len(self._left))
        buffer[:taken] = self._left[:taken]
        self._left = self._left[taken:]
        return taken


def _chunks(source: IO[bytes], passphrase: bytes) -> Iterator[bytes]:
    head = MAGIC + source.read(_SALT_BYTES)
    cipher, number = _cipher(passphrase, head), 0
    chunk = source.read(CHUNK_BYTES + _TAG_BYTES)
    while True:
        following = source.read(CHUNK_BYTES + _TAG_BYTES)
        try:
            yield cipher.decrypt(_nonce(number, last=not following), chunk, head)
        except InvalidTag as exc:
            why = f"from byte {number * CHUNK_BYTES} on" if number else "or was encrypted with another passphrase"
            raise errors.IntegrityError(f"the archive is cut or was changed {why}") from exc
        if not following:
            return
        chunk, number = following, number + 1


def _cipher(passphrase: bytes, head: bytes) -> AESGCM:
    return AESGCM(Scrypt(salt=head[len(MAGIC) :], length=32, n=_COST, r=8, p=1).derive(passphrase))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
