"""Which secrets an installation needs and what is in them. What exists already stays as it is.

Keys and metadata of the model repository belong together: they are made together, the metadata last, so a run that
died is completed by the next; once the metadata is there no key is made again (the root key may be offline by then).
"""

import secrets
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from skerry.adapters import pki
from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.trust import ceremony, keys
from skerry.cli.keys.secret_store import SecretStore
from skerry.core import addresses, errors

CUSTODIANS = {f"keys-{role}": role for role in (keys.ROOT, keys.PUBLISHER, keys.ONLINE)}
NAMES = (*CUSTODIANS, "trust", "issuer", "gateway-tls", "tickets", "valkey")
SOON = timedelta(days=45)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`made` and `kept` name Secrets; `warnings` are for people."""

    made: tuple[str, ...]
    kept: tuple[str, ...]
    warnings: tuple[str, ...]


def ensure(
    secret_store: SecretStore, prefix: str, hosts: Sequence[str], without: Collection[str], *, now: datetime
) -> Outcome:
    """Make what is missing of `<prefix>-<name>` for each of NAMES but those in `without`.

    Raises InputError (names that belong together are half given, no host or a wrong one), RejectedError (what was made
    once is gone), ConflictError (two runs at once), UnavailableError.
    """
    wanted = [name for name in NAMES if name not in without]
    _check(wanted, without, hosts)
    hosts = [addresses.check_host("--host", host) for host in hosts]
    known = {name: data for name in wanted if (data := secret_store.get(f"{prefix}-{name}")) is not None}
    made: list[str] = []

    def put(name: str, data: Mapping[str, bytes]) -> None:
        if name not in known:
            secret_store.create(f"{prefix}-{name}", data)
            known[name] = data
            made.append(f"{prefix}-{name}")

    if "trust" in wanted:
        for name, data in _trust(known, prefix, now).items():
            put(name, data)
    if "issuer" in wanted and "issuer" not in known:
        ca = pki.make_ca(f"{prefix} fleet", now=now)
        put("issuer", {"ca.crt": ca.certificate, "ca.key": ca.key})
    if "gateway-tls" in wanted and "gateway-tls" not in known:
        ca = pki.Pair(known["issuer"]["ca.crt"], known["issuer"]["ca.key"])
        served = pki.make_server_certificate(ca, hosts, now=now)
        put("gateway-tls", {"tls.crt": served.certificate, "tls.key": served.key, "ca.crt": ca.certificate})
    if "tickets" in wanted:
        put("tickets", {"key": secrets.token_bytes(32)})
    if "valkey" in wanted:
        put("valkey", {"password": secrets.token_urlsafe(32).encode()})
    kept = tuple(f"{prefix}-{name}" for name in wanted if name in known and f"{prefix}-{name}" not in made)
    return Outcome(tuple(made), kept, tuple(_warnings(known, prefix, hosts, now)))


def _check(wanted: Sequence[str], without: Collection[str], hosts: Sequence[str]) -> None:
    if unknown := set(without) - set(NAMES):
        raise errors.InputError(f"unknown secret {', '.join(sorted(unknown))}: known are {', '.join(NAMES)}")
    together = {*CUSTODIANS, "trust"} & set(without)
    if together and len(together) < len(CUSTODIANS) + 1:
        raise errors.InputError(
            f"keys and metadata of the model repository belong together: with {', '.join(sorted(together))} give "
            f"{', '.join(sorted({*CUSTODIANS, 'trust'} - together))} too"
        )
    if "gateway-tls" in wanted and "issuer" in without:
        raise errors.InputError("the gateway's certificate is signed by the issuer: give gateway-tls too")
    if "gateway-tls" in wanted and not hosts:
        raise errors.InputError("--host must name every address by which nodes reach the gateway")


def _trust(known: Mapping[str, Mapping[str, bytes]], prefix: str, now: datetime) -> dict[str, Mapping[str, bytes]]:
    """The keys' Secrets that are missing, then the metadata; nothing when the metadata is there."""
    if "trust" in known:
        if "keys-online" not in known:
            raise errors.RejectedError(
                f"Secret {prefix}-keys-online is gone, and the nodes trust its keys: put it back from a backup"
            )
        return {}
    with tempfile.TemporaryDirectory() as scratch:
        folder, repository = Path(scratch) / "keys", Path(scratch) / "repository"
        for name, role in CUSTODIANS.items():
            for file, data in known.get(name, {}).items():
                (folder / role).mkdir(parents=True, exist_ok=True, mode=0o700)
                (folder / role / Path(file).name).write_bytes(data)
        ceremony.ensure(DirectoryBlobs(repository), folder, now=now)
        made: dict[str, Mapping[str, bytes]] = {name: _files(folder / role) for name, role in CUSTODIANS.items()}
        return {**made, "trust": _files(repository / "metadata")}


def _files(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


def _warnings(
    known: Mapping[str, Mapping[str, bytes]], prefix: str, hosts: Sequence[str], now: datetime
) -> Sequence[str]:
    """What was made once and does not fit (any more): it is kept, so that an upgrade never loses it."""
    warnings: list[str] = []
    for name, file in (("issuer", "ca.crt"), ("gateway-tls", "tls.crt")):
        if file not in known.get(name, {}):
            continue
        certificate = x509.load_pem_x509_certificate(known[name][file])
        if certificate.not_valid_after_utc - now < SOON:
            left = (certificate.not_valid_after_utc - now).days
            warnings.append(f"the certificate in {prefix}-{name} ends in {left} days: {_ADVICE[name].format(prefix)}")
        if name == "gateway-tls" and (missing := sorted(set(hosts) - set(_hosts(certificate)))):
            warnings.append(f"{prefix}-{name} does not name {', '.join(missing)}: {_ADVICE[name].format(prefix)}")
    return warnings


_ADVICE = {
    "issuer": "see docs/how-to/operations.md on replacing the authority {}-issuer; nodes must enrol again",
    "gateway-tls": "delete the Secret {}-gateway-tls and run this (or `helm upgrade`) again",
}


def _hosts(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]
