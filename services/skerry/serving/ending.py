"""The end of a server, in the order in which callers lose nothing.

First it says that it is not ready; it goes on accepting while those who send to it learn that (Kubernetes and load
balancers take a moment); then it takes no new call, and running ones end. Whatever is stuck ends with the process.
"""

import asyncio

from skerry.adapters.telemetry import logs
from skerry.rpc.methods import Server
from skerry.serving.registry import Registry

_AFTER_GRACE_S = 4.0  # to hang up on those who do not let go, and to flush
log = logs.logger("serving")


def limit_s(notice_s: float, grace_s: float) -> float:
    """How long a process may live after it was asked to end."""
    return notice_s + grace_s + _AFTER_GRACE_S


async def drain(registry: Registry, *listeners: Server, notice_s: float, grace_s: float) -> None:
    """Returns when no call runs, after `notice_s` + `grace_s` and a moment at the latest."""
    log.info("draining", notice_s=notice_s, grace_s=grace_s)
    registry.drain()
    await asyncio.sleep(notice_s)
    registry.end_streams()
    await asyncio.gather(*(listener.drain(grace_s) for listener in listeners))
