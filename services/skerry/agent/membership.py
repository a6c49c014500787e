"""This node's membership of its fleet: gets a certificate when there is none, and another one in good time.

The work is `enrol`'s, a process of its own; here is only when to ask. A node that nobody lets in goes on serving.
Everything that talks to the cloud asks `Identity` for its credentials, and is called when they are new.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc

from skerry.adapters import child_process, files
from skerry.adapters.telemetry import logs
from skerry.agent import enrol
from skerry.core import backoff, digests, errors

log = logs.logger("agent")

COMMAND = child_process.command("skerry.agent.enrol")
_LIMITS = child_process.Limits(timeout_s=60.0)
_POLL_S = 60.0  # a clock that is put right is noticed this soon
_WARN_MS = 7 * 86_400_000
_SKEW_MS = 3_600_000  # certificates are good from an hour before they are made


@dataclass(frozen=True, slots=True)
class Identity:
    """The files of a node's certificate in `folder`."""

    folder: Path

    @property
    def trust_root(self) -> Path:
        """The repository's root metadata as it was received on enrolment."""
        return self.folder / enrol.ROOT

    def stamp(self) -> tuple[int, int] | None:
        """Changes with the certificate; None while there is none."""
        try:
            status = (self.folder / enrol.CERTIFICATE).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def credentials(self) -> grpc.ChannelCredentials:
        """For a new channel. Raises UnavailableError while this node is not enrolled."""
        if self.stamp() is None:
            raise errors.UnavailableError("this node is not enrolled yet")
        ca, key, certificate = (
            files.read(self.folder / name, max_bytes=64 << 10) for name in (enrol.CA, enrol.KEY, enrol.CERTIFICATE)
        )
        return grpc.ssl_channel_credentials(ca, key, certificate)

    def terms(self) -> enrol.Terms:
        return enrol.read_terms(self.folder)


class Membership:
    """`token_file` may be gone once the node is enrolled; another token in it enrols it again. `draw` gives uniform
    numbers for jitter, `clock` wall time in Unix ms, `renewed` is called when there is another certificate."""

    def __init__(
        self,
        identity: Identity,
        node: str,
        *,
        enrol_address: str,
        gateway: str,
        token_file: Path | None,
        draw: Callable[[], float],
        renewed: Callable[[], None],
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._identity, self._node = identity, node
        self._enrol_address, self._gateway, self._token_file = enrol_address, gateway, token_file
        self._draw, self._renewed, self._clock, self._command = draw, renewed, clock, command
        self._last_logged = ("", "")
        self._declined = ""  # a token that did not let this node in again: its certificate is what it has
        self._clock_logged = False

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            self._check_clock()
            if self._identity.stamp() is not None and not self._is_due() and not self._other_token():
                failures = 0
                await asyncio.sleep(_POLL_S)
                continue
            job, state, reason = await self._try()
            self._log_outcome(job, state, reason)
            if state == enrol.ENROLLED:
                failures = 0
                self._renewed()
                continue
            await asyncio.sleep(backoff.delay_s(failures, base_s=1.0, cap_s=60.0, u=self._draw()))
            failures += 1

    def _is_due(self) -> bool:
        """Half of its time has passed, and up to a tenth more: a fleet that enrolled at once does not renew at once."""
        terms = self._identity.terms()
        spread_ms = int((terms.not_after_ms - terms.renew_after_ms) * 0.2 * self._jitter())
        return self._clock() >= terms.renew_after_ms + spread_ms

    def _other_token(self) -> str:
        """A token that this node was not enrolled with: somebody wants it to enrol again (its cloud was rebuilt, or its
        object deleted). Empty: none."""
        with contextlib.suppress(errors.SkerryError):
            token, terms = self._token(), self._identity.terms()
            known = terms.token in ("", _digest(token)) and terms.node in ("", self._node)
            return "" if known or _digest(token) == self._declined else token
        return ""

    def _token(self) -> str:
        """Raises UnavailableError when there is none."""
        if self._token_file is None:
            raise errors.UnavailableError("SKERRY_JOIN_TOKEN_FILE is not set")
        return files.read(self._token_file, max_bytes=1024).decode(errors="replace").strip()

    def _check_clock(self) -> None:
        """Without a clock nothing can be verified, and no word of TLS says so."""
        terms = self._identity.terms()
        made_ms = 2 * terms.renew_after_ms - terms.not_after_ms  # it is renewed at half of its time
        behind_ms = made_ms - _SKEW_MS - self._clock()
        if behind_ms > 0 and not self._clock_logged:
            log.error(
                "clock_is_wrong",
                behind_s=behind_ms // 1000,
                message="this node's clock is behind the time when its certificate was made: it serves, and reaches "
                "its gateway when the clock is set",
            )
        self._clock_logged = behind_ms > 0

    def _jitter(self) -> float:
        """The same number for as long as the certificate is the same."""
        stamp = self._identity.stamp() or (0, 0)
        return (stamp[1] // 1000 % 1000) / 1000

    async def _try(self) -> tuple[enrol.Job | None, str, str]:
        try:
            job = self._job()
        except errors.SkerryError as exc:
            return None, enrol.FAILED, str(exc)
        return job, *await self._ask(job)

    async def _ask(self, job: enrol.Job) -> tuple[str, str]:
        try:
            ended = await child_process.run(self._command, asdict(job), _LIMITS)
        except errors.UnavailableError as exc:
            return enrol.FAILED, str(exc)
        answer = ended.answer or {}
        if "state" not in answer:
            return enrol.FAILED, f"the enrolling process {ended.how}"
        return str(answer["state"]), str(answer.get("reason", ""))

    def _job(self) -> enrol.Job:
        folder, terms = str(self._identity.folder), self._identity.terms()
        has_certificate = self._identity.stamp() is not None
        if has_certificate and self._clock() < terms.not_after_ms and not self._other_token():
            return enrol.Job(folder, self._node, self._gateway, renews=True)
        try:
            token = self._token()
        except errors.SkerryError as exc:
            if not has_certificate:
                raise errors.UnavailableError(
                    f"this node has neither a certificate nor a join token (SKERRY_JOIN_TOKEN_FILE): {exc}"
                ) from exc
            token = ""  # its certificate has ended; its key may still be approved
        return enrol.Job(folder, self._node, self._enrol_address, token)

    def _log_outcome(self, job: enrol.Job | None, state: str, reason: str) -> None:
        until_ms = self._identity.terms().not_after_ms
        if state == enrol.REFUSED and job is not None and job.token and self._identity.stamp() is not None:
            self._declined = _digest(job.token)
        if self._identity.stamp() is not None and state != enrol.ENROLLED and until_ms - self._clock() < _WARN_MS:
            log.error("certificate_ends", not_after_unix_ms=until_ms, state=state, message=reason)
        elif state == enrol.ENROLLED:
            log.info("enrolled", node=self._node, message=reason)
        elif (state, reason) != self._last_logged:
            log.warning("not_enrolled", node=self._node, state=state, message=reason)
        self._last_logged = (state, reason)


def _digest(token: str) -> str:
    return digests.sha256(token.encode())
