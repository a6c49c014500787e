"""HTTP listeners: uvicorn on a socket of ours, in clear or over TLS, with the peer's certificate in the state.

Certificates are read again when their files change, also the CA of the clients; a connection that is open stays.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from skerry.adapters import http_server, sockets
from skerry.rpc import tls as rpc_tls
from skerry.rpc.methods import Tls

_LOOK_S = 5.0  # how often the files of certificates are looked at


@contextlib.asynccontextmanager
async def listening(
    application: Any, address: tuple[str, int], tls: Tls | None = None, *, connections: int
) -> AsyncIterator[str]:
    """Serve until the block is left, `connections` at most; gives the `host:port` that was bound. Raises
    UnavailableError."""
    with sockets.bind(*address) as bound:
        config = uvicorn.Config(
            application, http=http_server.Protocol, ws="none", log_config=None, access_log=False, lifespan="off",
            timeout_keep_alive=30, h11_max_incomplete_event_size=64 << 10, timeout_graceful_shutdown=10,
        )  # fmt: skip
        config.load()
        renewing = None
        if tls is not None:
            renewal = rpc_tls.Renewal(tls, lambda files: rpc_tls.context(files, ("http/1.1",)))
            config.ssl = renewal.current
            renewing = asyncio.create_task(_renew(renewal, renewal.current))
        server = http_server.Server(config, connections)
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            yield sockets.address(bound)
        finally:
            if renewing is not None:
                renewing.cancel()
            server.should_exit = True
            await serving


async def _renew(renewal: rpc_tls.Renewal[ssl.SSLContext], served: ssl.SSLContext) -> None:
    """The listener keeps its context: what was loaded again is put into it, for the connections that come."""
    while True:
        await asyncio.sleep(_LOOK_S)
        if renewal.fresh() is not None:
            with contextlib.suppress(OSError):  # replaced once more just now: the next look finds it
                served.load_cert_chain(renewal.tls.certificate, renewal.tls.key)
                if renewal.tls.client_ca:
                    served.load_verify_locations(renewal.tls.client_ca)
