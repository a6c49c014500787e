"""This node's membership of its fleet: gets a certificate when there is none, and another one in good time.

The work is `agent.enrol`'s, a process of its own; here is only when to ask. A node that nobody lets in goes on serving.
Everything that talks to the cloud asks `Identity` for its credentials, and is told when they are new.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc

from skerry.adapters import files
from skerry.adapters.telemetry import logs
from skerry.agent import backoff, child, enrol
from skerry.core import errors

log = logs.logger("agent")

COMMAND = (sys.executable, "-m", "skerry.agent.enrol")
_TIMEOUT_S = 60.0
_LOOK_S = 60.0  # a clock that is put right is noticed this soon
_WARN_MS = 7 * 86_400_000


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
            found = (self.folder / enrol.CERTIFICATE).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def credentials(self) -> grpc.ChannelCredentials:
        """For a new channel. Raises UnavailableError while this node is not enrolled."""
        if self.stamp() is None:
            raise errors.UnavailableError("this node is not enrolled yet")
        ca, key, certificate = (
            files.read(self.folder / name, max_bytes=64 << 10) for name in (enrol.CA, enrol.KEY, enrol.CERTIFICATE)
        )
        return grpc.ssl_channel_credentials(ca, key, certificate)

    def terms(self) -> tuple[int, int]:
        """(renew after, good until), Unix ms; zeros when they cannot be read: then it is time to renew."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads((self.folder / enrol.TERMS).read_text())
            return int(found["renewAfterUnixMs"]), int(found["notAfterUnixMs"])
        return 0, 0


class Membership:
    """`token_file` may be gone once the node is enrolled. `draw` gives uniform numbers for jitter, `clock` wall time in
    Unix ms, `renewed` is called when there is another certificate."""

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
        self._told = ("", "")

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            if self._identity.stamp() is not None and not self._is_due():
                failures = 0
                await asyncio.sleep(_LOOK_S)
                continue
            state, reason = await self._ask()
            self._tell(state, reason)
            if state == enrol.ENROLLED:
                failures = 0
                self._renewed()
                continue
            await asyncio.sleep(backoff.delay_s(failures, base_s=1.0, cap_s=60.0, u=self._draw()))
            failures += 1

    def _is_due(self) -> bool:
        """Half of its time has passed, and up to a tenth more: a fleet that enrolled at once does not renew at once."""
        renew_ms, until_ms = self._identity.terms()
        return self._clock() >= renew_ms + int((until_ms - renew_ms) * 0.2 * self._jitter())

    def _jitter(self) -> float:
        """The same number for as long as the certificate is the same."""
        stamp = self._identity.stamp() or (0, 0)
        return (stamp[1] // 1000 % 1000) / 1000

    async def _ask(self) -> tuple[str, str]:
        try:
            job = self._job()
        except errors.SkerryError as exc:
            return enrol.FAILED, str(exc)
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=child.environment(),
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(json.dumps(asdict(job)).encode()), _TIMEOUT_S)
            found = json.loads(out)
            return str(found["state"]), str(found["reason"])
        except TimeoutError:
            return enrol.FAILED, f"no answer in {_TIMEOUT_S:.0f} s"
        except (ValueError, KeyError, TypeError):
            return enrol.FAILED, f"the enrolling process ended with code {process.returncode}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _job(self) -> enrol.Job:
        folder = str(self._identity.folder)
        if self._identity.stamp() is not None and self._clock() < self._identity.terms()[1]:
            return enrol.Job(folder, self._node, self._gateway)
        if self._token_file is None:
            raise errors.UnavailableError(
                "this node has no valid certificate and no join token: set SKERRY_JOIN_TOKEN_FILE"
            )
        token = files.read(self._token_file, max_bytes=1024).decode(errors="replace").strip()
        return enrol.Job(folder, self._node, self._enrol_address, token)

    def _tell(self, state: str, reason: str) -> None:
        until_ms = self._identity.terms()[1]
        if self._identity.stamp() is not None and state != enrol.ENROLLED and until_ms - self._clock() < _WARN_MS:
            log.error("certificate_ends", not_after_unix_ms=until_ms, state=state, message=reason)
        elif state == enrol.ENROLLED:
            log.info("enrolled", node=self._node, message=reason)
        elif (state, reason) != self._told:
            log.warning("not_enrolled", node=self._node, state=state, message=reason)
        self._told = (state, reason)
