"""The short-lived process that gets this node its certificate: makes the key, finds the CA that the token names, asks.

It answers `{"state": "ENROLLED" | "WAITING" | "REFUSED" | "FAILED", "reason": …}`. A process of its own, because
certificates and a second gRPC channel are heavy and needed twice a month. The key never leaves its file; nothing is
told to a server that does not show the CA whose digest the join token carries.
"""

import contextlib
import json
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skerry.adapters import child_process, files, proxies
from skerry.core import contract, digests, errors, identity, join_tokens

ENROLLED, WAITING, REFUSED, FAILED = "ENROLLED", "WAITING", "REFUSED", "FAILED"
KEY, CERTIFICATE, CA, ROOT, TERMS = "key.pem", "cert.pem", "ca.pem", "root.json", "terms.json"
_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Job:
    """`renews`: `address` is the fleet's listener, asked with the certificate that is there. Else it is the enrolment
    listener; `token` may be empty when this node's key is approved already and its CA is known."""

    folder: str
    node: str
    address: str
    token: str = ""
    renews: bool = False


def run(job: Job) -> tuple[str, str]:
    """(state, reason)."""
    from skerry.adapters import pki

    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key_file = folder / KEY
    if not key_file.exists():
        files.write(key_file, pki.make_key(), mode=0o600)
    request = pki.make_request(files.read(key_file, max_bytes=16 << 10))
    try:
        state, reason = _renew(job, folder, request) if job.renews else _enrol(job, folder, request)
    except errors.InputError as exc:
        return REFUSED, str(exc)
    except errors.SkerryError as exc:
        return FAILED, str(exc)
    if state == WAITING:  # who approves it can see that it is this key that asks
        reason += f" --key {pki.authority.digest_of_request(request)}"
    return state, reason


def _enrol(job: Job, folder: Path, request: bytes) -> tuple[str, str]:
    from skerry.proto import fleet_pb2

    if job.token:
        token = join_tokens.parse(job.token)
        ca, token_id, secret = find_ca(job.address, token.ca_digest), token.id, token.secret
    else:
        ca, token_id, secret = files.read(folder / CA, max_bytes=64 << 10), "", ""
    asked = fleet_pb2.EnrolRequest(token_id=token_id, secret=secret, node=job.node, csr=request)
    return _ask(job, folder, contract.ENROL, asked, ca, None)


def _renew(job: Job, folder: Path, request: bytes) -> tuple[str, str]:
    from skerry.proto import fleet_pb2

    ca, certificate, key = (files.read(folder / name, max_bytes=64 << 10) for name in (CA, CERTIFICATE, KEY))
    asked = fleet_pb2.RenewRequest(csr=request)
    return _ask(job, folder, contract.RENEW, asked, ca, (key, certificate))


def _ask(
    job: Job, folder: Path, method: str, request: Any, ca: bytes, own: tuple[bytes, bytes] | None
) -> tuple[str, str]:
    import grpc

    from skerry.adapters import pki
    from skerry.proto import fleet_pb2

    if wrong := pki.clock_fault(ca, now=datetime.now(UTC)):
        return FAILED, wrong
    key, certificate = own or (None, None)
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    options = [("grpc.enable_retries", 0), *proxies.grpc_options(job.address)]
    with grpc.secure_channel(job.address, credentials, options) as channel:
        call = channel.unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=fleet_pb2.Membership.FromString,
        )
        try:
            membership = call(request, timeout=_TIMEOUT_S)
        except grpc.RpcError as exc:
            return _refused(exc.code(), exc.details() or "", job.address)
    _write_certificate(job, folder, membership)
    return ENROLLED, f"certificate good until {_date(membership.not_after_unix_ms)}"


def _refused(code: Any, details: str, address: str) -> tuple[str, str]:
    import grpc

    if code is grpc.StatusCode.FAILED_PRECONDITION:
        return WAITING, details
    if code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAUTHENTICATED):
        return REFUSED, details
    return FAILED, f"{address} answered {code.name}: {details[:500]}{identity.hint(details)}"


def _write_certificate(job: Job, folder: Path, membership: Any) -> None:
    """The certificate last: while it is not there, the node is not enrolled."""
    terms = {
        "node": job.node,
        "token": digests.sha256(job.token.encode()) if job.token else read_terms(folder).token,
        "renewAfterUnixMs": membership.renew_after_unix_ms,
        "notAfterUnixMs": membership.not_after_unix_ms,
    }
    if membership.trust_root:
        files.write(folder / ROOT, membership.trust_root)
    files.write(folder / CA, membership.ca)
    files.write(folder / TERMS, json.dumps(terms).encode())
    files.write(folder / CERTIFICATE, membership.certificate)


@dataclass(frozen=True, slots=True)
class Terms:
    """What this node noted of its certificate: for which name, by which token (digest of its text, empty: not known),
    when to renew it and until when it is good (Unix ms)."""

    node: str = ""
    token: str = ""
    renew_after_ms: int = 0
    not_after_ms: int = 0


def read_terms(folder: Path) -> Terms:
    """All empty when they cannot be read: then it is time to renew."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        terms = json.loads((folder / TERMS).read_text())
        return Terms(
            str(terms.get("node", "")),
            str(terms.get("token", "")),
            int(terms["renewAfterUnixMs"]),
            int(terms["notAfterUnixMs"]),
        )
    return Terms()


def find_ca(address: str, digest: str) -> bytes:
    """The CA with that digest from the chain that a server shows, PEM; nothing is sent to it. Raises UnavailableError
    (no server) or IntegrityError (another CA)."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only looked at: the digest decides
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout=_TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host.strip("[]")) as connection,
        ):
            chain = _chain(connection)
    except OSError as exc:
        raise errors.UnavailableError(f"cannot reach {address} to enrol: {exc}") from exc
    for certificate in chain:
        if digests.sha256(certificate) == digest:
            return ssl.DER_cert_to_PEM_cert(certificate).encode()
    raise errors.IntegrityError(
        f"{address} does not show the CA that the join token names ({digest[:19]}…): it is another gateway, or "
        "somebody stands between"
    )


def _chain(connection: ssl.SSLSocket) -> list[bytes]:
    """What the server showed, DER. Public since Python 3.13; the same call is below the surface before."""
    if hasattr(connection, "get_unverified_chain"):
        return list(connection.get_unverified_chain())
    inner: Any = connection._sslobj  # type: ignore[attr-defined]
    return [ssl.PEM_cert_to_DER_cert(shown.public_bytes()) for shown in inner.get_unverified_chain() or []]


def _date(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%d")


def _work(job: child_process.Line, say: child_process.Say) -> child_process.Line:
    state, reason = run(Job(**job))
    return {"state": state, "reason": reason}


if __name__ == "__main__":
    child_process.serve(_work)
