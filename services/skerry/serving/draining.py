"""The end of a server, in the order in which callers lose nothing.

First it says that it is not ready, and accepts while those who send to it learn that (Kubernetes and load balancers
take a moment). Then it tells its clients to go elsewhere, and still serves those that its address brings back; then it
takes no new call, and running ones end. Whatever is stuck ends with the process.
"""

import asyncio
from typing import TYPE_CHECKING

from skerry.adapters import shutdown
from skerry.adapters.telemetry import logs
from skerry.rpc.methods import Server

if TYPE_CHECKING:
    from skerry.serving.registry import Registry

log = logs.logger("serving")


async def drain(registry: "Registry", *listeners: Server, times: shutdown.Times) -> None:
    """Returns when no call runs, after `times.drained_s` and a moment at the latest."""
    log.info("draining", notice_s=times.notice_s, linger_s=times.linger_s, grace_s=times.grace_s)
    registry.drain()
    await asyncio.sleep(times.notice_s)
    registry.end_streams()
    await asyncio.gather(*(listener.drain(times.grace_s, times.linger_s) for listener in listeners))
    registry.stop_runs()
