"""Accepts sockets and counts them before anything else happens: a refused peer costs one accept and one close."""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl

from skerry.core import addresses
from skerry.rpc import tls
from skerry.rpc.h2.peer import Peer, Peers
from skerry.rpc.h2.secured import Secured

_log = logging.getLogger("skerry.rpc")
_BACKLOG = 1_024
_OUT_OF_FILES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_PAUSE_S = 0.1


class Listener:
    def __init__(self, peers: Peers, host: str, port: int, certificates: tls.Renewal[ssl.SSLContext] | None) -> None:
        """Bind and listen; `::` takes IPv4 too. Raises OSError."""
        self._peers, self._loop, self._certificates = peers, peers.turns.loop, certificates
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        both = host == "::" and socket.has_dualstack_ipv6()
        self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._accepting: asyncio.Task[None] | None = None
        self._connecting: set[asyncio.Task[None]] = set()
        self.handshaking: set[Secured] = set()  # connections whose TLS handshake goes on

    def start(self) -> None:
        self._accepting = self._loop.create_task(self._accept())

    async def close(self) -> None:
        """Accept no more, and end handshakes that are under way."""
        tasks = [task for task in (self._accepting, *self._connecting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._socket.close()
        for secured in tuple(self.handshaking):
            secured.abort()

    async def _accept(self) -> None:
        loop, peers = self._loop, self._peers
        while True:
            try:
                accepted, address = await loop.sock_accept(self._socket)
            except OSError as exc:
                if exc.errno in _OUT_OF_FILES:
                    _log.warning("cannot_accept", extra={"fields": {"message": str(exc)}})
                    await asyncio.sleep(_PAUSE_S)
                continue  # the peer gave up before we accepted
            place = addresses.place_of(address[0])
            if not peers.admit(place):
                accepted.close()
                continue
            task = loop.create_task(self._connect(accepted, address, place))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self, accepted: socket.socket, address: tuple[str, int], place: str) -> None:
        host = address[0]
        text = f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"
        peer = Peer(self._peers, text, place)
        context = self._certificates.latest() if self._certificates else None
        protocol = Secured(peer, context, self.handshaking) if context else peer
        self._peers.arriving[peer] = protocol
        try:
            with contextlib.suppress(OSError):  # the peer has gone: the transport will say so
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(lambda: protocol, accepted)
        except (OSError, asyncio.CancelledError):
            if protocol.transport is None:
                accepted.close()
                peer.leave_place()
