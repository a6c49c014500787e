"""Accepts sockets and counts them before anything else happens: a refused peer costs one accept and one close."""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from typing import TYPE_CHECKING

from skerry.rpc import tls
from skerry.rpc.h2 import admission
from skerry.rpc.h2.peer import Peer
from skerry.rpc.h2.secured import Secured

if TYPE_CHECKING:
    from skerry.rpc.h2.server import H2Server

_log = logging.getLogger("skerry.rpc")
_BACKLOG = 1_024
_OUT_OF_FILES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_PAUSE_S = 0.1


class Listener:
    def __init__(
        self, server: "H2Server", host: str, port: int, certificates: tls.Renewal[ssl.SSLContext] | None
    ) -> None:
        """Bind and listen; `::` takes IPv4 too. Raises OSError."""
        self._server, self._certificates = server, certificates
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        both = host == "::" and socket.has_dualstack_ipv6()
        self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._accepting: asyncio.Task[None] | None = None
        self._welcoming: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._accepting = self._server.loop.create_task(self._accept())

    async def close(self) -> None:
        """Accept no more, and end handshakes that are under way."""
        tasks = [task for task in (self._accepting, *self._welcoming) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._socket.close()

    async def _accept(self) -> None:
        loop = self._server.loop
        while True:
            try:
                accepted, address = await loop.sock_accept(self._socket)
            except OSError as exc:
                if exc.errno in _OUT_OF_FILES:
                    _log.warning("cannot_accept", extra={"fields": {"message": str(exc)}})
                    await asyncio.sleep(_PAUSE_S)
                continue  # the peer gave up before we came
            place = admission.place(address[0])
            if not self._server.admission.enter(place):
                accepted.close()
                continue
            task = loop.create_task(self._welcome(accepted, address, place))
            self._welcoming.add(task)
            task.add_done_callback(self._welcoming.discard)

    async def _welcome(self, accepted: socket.socket, address: tuple[str, int], place: str) -> None:
        server, host = self._server, address[0]
        text = f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"
        peer = Peer(server, text, place)
        protocol = Secured(server, peer, self._certificates.latest()) if self._certificates else peer
        try:
            with contextlib.suppress(OSError):  # the peer has gone: the transport will tell
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await server.loop.connect_accepted_socket(lambda: protocol, accepted)
        except (OSError, asyncio.CancelledError):
            if protocol.transport is None:
                accepted.close()
                server.admission.leave(place)
