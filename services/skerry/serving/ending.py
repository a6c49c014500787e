"""The end of a server, in the order in which callers lose nothing.

First it says that it is not ready, and accepts while those who send to it learn that (Kubernetes and load balancers
take a moment). Then it tells its callers to go elsewhere, and still serves those whom its address brings back; then it
takes no new call, and running ones end. Whatever is stuck ends with the process.
"""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skerry.adapters.telemetry import logs
from skerry.rpc.methods import Server

if TYPE_CHECKING:
    from skerry.serving.registry import Registry

_AFTER_GRACE_S = 4.0  # to hang up on those who do not let go, and to flush
log = logs.logger("serving")


@dataclass(frozen=True, slots=True)
class Times:
    """How long each step of the end takes, in seconds: accepting as before, sending callers elsewhere, and at the most
    until running calls have ended."""

    notice_s: float
    linger_s: float
    grace_s: float

    @property
    def drained_s(self) -> float:
        """By then no call runs."""
        return self.notice_s + self.linger_s + self.grace_s

    @property
    def limit_s(self) -> float:
        """How long a process may live after it was asked to end."""
        return self.drained_s + _AFTER_GRACE_S


async def drain(registry: "Registry", *listeners: Server, times: Times) -> None:
    """Returns when no call runs, after `times.drained_s` and a moment at the latest."""
    log.info("draining", notice_s=times.notice_s, linger_s=times.linger_s, grace_s=times.grace_s)
    registry.drain()
    await asyncio.sleep(times.notice_s)
    registry.end_streams()
    await asyncio.gather(*(listener.drain(times.grace_s, times.linger_s) for listener in listeners))
