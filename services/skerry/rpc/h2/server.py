"""The server: its listeners, a sweep once a second that gives up what waits too long, and the drain."""

import asyncio
from collections.abc import Callable

from skerry.core import errors
from skerry.rpc import tls as tls_module
from skerry.rpc import unix_sockets
from skerry.rpc.h2 import memory
from skerry.rpc.h2.listener import Listener, bind
from skerry.rpc.h2.peer import Peers
from skerry.rpc.h2.routing import Router
from skerry.rpc.h2.turns import Turns
from skerry.rpc.limits import Limits
from skerry.rpc.methods import Methods, Tls
from skerry.rpc.unix_sockets import UnixAddress

_SWEEP_S = 1.0
_HANG_UP_S = 2.0


class H2Server:
    """`methods.Server` over our own HTTP/2, on the running event loop."""

    def __init__(self, methods: Methods, limits: Limits) -> None:
        self.turns = Turns(limits)
        self.peers = Peers(self.turns, Router(methods, limits.max_metadata_bytes))
        self.listeners: list[Listener] = []
        self._sweeper = self.turns.loop.call_later(_SWEEP_S, self._sweep)
        memory.return_large_blocks()

    async def listen(self, host: str, port: int, tls: Tls | None = None) -> int:
        """Start to accept; returns the bound port. Raises UnavailableError for a taken address or unfit files."""
        certificates = tls_module.Renewal(tls, tls_module.context) if tls else None
        try:
            listening = bind(host, port)
        except OSError as exc:
            raise errors.UnavailableError(f"cannot listen on {host}:{port}: {exc.strerror or exc}") from exc
        self._accept(Listener(self.peers, listening, certificates))
        return int(listening.getsockname()[1])

    async def listen_unix(self, address: UnixAddress) -> None:
        """Start to accept on a Unix domain socket. Raises UnavailableError for a path that is taken."""
        bound = unix_sockets.bind(address)
        self._accept(Listener(self.peers, bound.socket, unix=bound))

    def _accept(self, listener: Listener) -> None:
        self.listeners.append(listener)
        listener.start()

    def hang_up(self, unwanted: Callable[[bytes], bool]) -> None:
        """End the connections whose client certificate (DER) is `unwanted`, and their calls, without a grace."""
        for peer in tuple(self.peers):
            if peer.certificate is not None and unwanted(peer.certificate):
                peer.end("this certificate is not taken any more")
                peer.abort()

    async def drain(self, grace_s: float, linger_s: float = 0.0) -> None:
        """Tell every connection to go elsewhere, for `linger_s` also each one that still comes in; then take no new
        call, let running ones end for up to `grace_s`, and hang up.

        A client that is routed back here while we linger is served before its GOAWAY: to refuse connections while our
        address is still given out would cost a call.
        """
        if linger_s > 0:
            self.peers.drain()
            await asyncio.sleep(linger_s)
        for listener in self.listeners:
            await listener.close()
        self.peers.drain()
        await self.peers.until_gone(grace_s)
        for peer in tuple(self.peers):
            peer.end()
        await self.peers.until_gone(_HANG_UP_S)
        for peer in tuple(self.peers):
            peer.abort()
        self._sweeper.cancel()

    def _sweep(self) -> None:
        self.peers.sweep(self.turns.time())
        self._sweeper = self.turns.loop.call_later(_SWEEP_S, self._sweep)
