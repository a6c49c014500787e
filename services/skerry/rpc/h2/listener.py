"""Accepts sockets and counts them before anything else happens: a refused peer costs one accept and one close."""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl

from skerry.core import addresses
from skerry.rpc import tls, unix_sockets
from skerry.rpc.h2.peer import Peer, Peers
from skerry.rpc.h2.secured import Secured
from skerry.rpc.unix_sockets import Bound

_log = logging.getLogger("skerry.rpc")
_BACKLOG = 1_024
_OUT_OF_FILES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_PAUSE_S = 0.1


def bind(host: str, port: int) -> socket.socket:
    """Bind and listen; `::` takes IPv4 too. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)


class Listener:
    """Of a socket that listens; `unix` is it where it has a path."""

    def __init__(
        self,
        peers: Peers,
        listening: socket.socket,
        certificates: tls.Renewal[ssl.SSLContext] | None = None,
        unix: Bound | None = None,
    ) -> None:
        self._peers, self._loop, self._certificates = peers, peers.turns.loop, certificates
        self._socket, self._unix = listening, unix
        self._socket.setblocking(False)
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
        self._unix.close() if self._unix else self._socket.close()
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
            caller = self._caller(accepted, address)
            if caller is None or not peers.admit(caller[1]):
                accepted.close()
                continue
            task = loop.create_task(self._connect(accepted, *caller))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    def _caller(self, accepted: socket.socket, address: tuple[str, int]) -> tuple[str, str] | None:
        """Who connected, as `Call.peer_address` tells it, and what counts as one; None: a user who is not let in."""
        if self._unix is None:
            host = address[0]
            return addresses.show(host, address[1]), addresses.place_of(host)
        try:
            user, process = unix_sockets.peer_of(accepted)
        except OSError:
            return None
        if (users := self._unix.address.users) is not None and user not in users:
            _log.warning("user_refused", extra={"fields": {"user": user, "socket": str(self._unix.address)}})
            return None
        return f"unix:{user}:{process}", f"unix:{user}"

    async def _connect(self, accepted: socket.socket, text: str, place: str) -> None:
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
