"""`skerry backup` and `skerry restore`: one archive, of a state folder or of a cluster's storage."""

import contextlib
import gzip
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import click

from skerry.cli import output
from skerry.cli.locations import Locations, location_options
from skerry.core import errors

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The archive is encrypted with the passphrase in this file (AES-256-GCM, scrypt).",
)


@click.command()
@click.argument("to", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--keys", is_flag=True, help="The signing keys too. Anybody who reads the archive can then sign.")
@passphrase_option
@output.json_option
@location_options
def backup(locations: Locations, to: str, keys: bool, passphrase_file: Path | None, as_json: bool) -> None:
    """Save custom resources, blobs, the model repository and the teacher's models to TO.

    TO is a file that does not exist (.tar, or .tar.gz to compress), or - for standard output. The system may run
    meanwhile. In a cluster: kubectl exec deploy/skerry-toolbox -- skerry backup - > b.tar
    """
    from skerry.cli.backup import saving

    if keys and passphrase_file is None:
        output.say("the archive holds private keys, readable by all who get it: give --passphrase-file", err=True)
    with _sink(to) as file, _sealed(file, passphrase_file) as sealed, _packed(sealed, to) as out:
        counts = saving.save(locations, out, with_keys=keys, now_unix_ms=time.time_ns() // 1_000_000)
    _print(counts, as_json, f"saved to {to}", to_stderr=to == "-")
    if counts["missing"]:
        output.say(f"objects name content that is not stored: {', '.join(counts['missing'])}", err=True)


@click.command()
@click.argument("source", metavar="FROM", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--merge", is_flag=True, help="On top of what is there: replaces objects of the same name, keeps others.")
@click.option("--check", is_flag=True, help="Only verify the archive.")
@click.option(
    "--erasures",
    "list_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What was erased since the backup, as `skerry erase list --json` wrote it: it is erased again.",
)
@passphrase_option
@output.json_option
@location_options
def restore(
    locations: Locations,
    source: str,
    merge: bool,
    check: bool,
    list_file: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Put the backup FROM (a file, or - for standard input) into an empty system whose controller is stopped.

    What was erased is erased again, also what the backup still holds of it: keep `skerry erase list --json` beside your
    backups for --erasures. Nothing takes effect before the whole archive is verified. After an interruption it is run
    again, with --merge if it finds something there by then.
    """
    from skerry.cli.backup import encryption, erased, restoring

    passphrase = encryption.read_passphrase(passphrase_file) if passphrase_file is not None else None
    with contextlib.ExitStack() as stack:
        file: IO[bytes] = sys.stdin.buffer if source == "-" else stack.enter_context(Path(source).open("rb"))
        opened = encryption.decrypted(file, passphrase)
        if check:
            _print(restoring.check(opened), as_json, f"{source} is whole", to_stderr=False)
            return
        listed = erased.read_list(list_file) if list_file is not None else []
        done = restoring.restore(locations, opened, merge=merge, listed=listed)
    counts = {"objects": done.objects, "blobs": done.blobs, "files": done.files, "keys": done.keys}
    _print(counts, as_json, "restored", to_stderr=False)
    if not as_json:
        if done.erasures:
            output.say(f"{done.erasures} erasures stand: what came back of them goes once the system runs")
        if list_file is None and not merge:
            output.say(
                "what was erased after the backup is in it again: --erasures (`skerry erase list --json`) says what"
            )
        output.say("start the system again; nodes that saw a newer model repository need `skerry keys rotate online`")


def _print(counts: Mapping[str, Any], as_json: bool, what: str, *, to_stderr: bool) -> None:
    if as_json:
        output.print_json(counts, err=to_stderr)
        return
    size = f" ({output.size(counts['sizeBytes'])})" if "sizeBytes" in counts else ""
    counted = ", ".join(f"{counts[part]} {part}" for part in ("objects", "blobs", "files", "keys"))
    output.say(f"{what}: {counted}{size}", err=to_stderr)


@contextlib.contextmanager
def _sink(to: str) -> Iterator[IO[bytes]]:
    """Standard output, or a new file that appears under its name when it is complete, readable by its owner alone."""
    if to == "-":
        if sys.stdout.isatty():
            raise errors.InputError("a backup is binary: send it to a file, as in `skerry backup - > b.tar`")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(to)
    if path.exists():
        raise errors.InputError(f"{path} exists already: name another file")
    partial = path.with_name(f".{path.name}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise errors.UnavailableError(f"cannot write {path}: {exc.strerror}") from exc
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _sealed(out: IO[bytes], passphrase_file: Path | None) -> Iterator[IO[bytes]]:
    """`out`, encrypted where a passphrase is given; a write that is interrupted leaves it cut."""
    if passphrase_file is None:
        yield out
        return
    from skerry.cli.backup import encryption

    sealed = encryption.EncryptingWriter(out, encryption.read_passphrase(passphrase_file))
    yield sealed  # type: ignore[misc]  # it writes
    sealed.finish()


@contextlib.contextmanager
def _packed(out: IO[bytes], to: str) -> Iterator[IO[bytes]]:
    """`out`, compressed where the name says so."""
    if not to.endswith(".gz"):
        yield out
        return
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as packed:
        yield packed  # type: ignore[misc]  # it writes
