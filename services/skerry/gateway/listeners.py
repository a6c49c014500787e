"""Which doors the gateway opens, and in which order they close: each listener with what it serves and whom it lets in.

With certificates: the fleet's streams and the repository want a node's certificate, TLS 1.3; enrolment and the jobs'
door, where the teacher reads who is a member, are TLS without one; health is plain. Without certificates everything is
plain and bound to loopback, unless somebody says that the network is to be trusted.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from skerry import rpc
from skerry.adapters import blobs, descriptors
from skerry.adapters.objects.protocol import Objects
from skerry.adapters.pki import Authority
from skerry.core import addresses, contract, errors
from skerry.gateway import allowlist, enrol, https, ingest, job_blobs, methods, metrics, repository, sessions
from skerry.gateway.identity import Guard, Guarded
from skerry.gateway.settings import Settings
from skerry.rpc import limits
from skerry.rpc.methods import Methods, Server, Tls

# A load balancer or a site's NAT puts a whole fleet behind one address: who gets in is for certificates to say.
_HEALTH_CONNECTIONS = 64
_LIMITS = limits.Limits(max_connections_per_address=limits.Limits().max_connections)


@dataclass(frozen=True, slots=True)
class Services:
    """What the listeners serve. `silent_s`: seconds since the object store answered last."""

    store: Objects
    fleet: sessions.Sessions
    intake: ingest.Ingest
    instruments: metrics.Instruments
    guard: Guard
    silent_s: Callable[[], float]


class Listeners:
    """Raises InputError when the settings do not belong together."""

    def __init__(self, settings: Settings, parts: Services) -> None:
        self._settings, self._services = settings, parts
        self._ready = False
        # Half of the connections are the fleet's streams; repository, jobs and enrolment have a sixth each.
        self._places = descriptors.for_connections(descriptors.raise_limit()) - _HEALTH_CONNECTIONS
        self._check()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[dict[str, str]]:
        """Open all doors; gives where each was bound. Leaving says "not ready" first and gives notice, then lets
        running calls end."""
        settings, bound = self._settings, dict[str, str]()
        async with contextlib.AsyncExitStack() as stack:
            if settings.health:
                pages = repository.build_pages(self._services.instruments, self._services.silent_s, self._is_ready)
                address = addresses.parse("SKERRY_HEALTH", settings.health)
                bound["health"] = await stack.enter_async_context(
                    https.listening(pages, address, connections=_HEALTH_CONNECTIONS)
                )
            files = repository.build(
                settings.repository, self._services.instruments, self._services.silent_s, self._is_ready
            )
            application = Guarded(files, self._services.guard) if settings.client_ca else files
            address = addresses.parse("SKERRY_HTTP", settings.http)
            bound["http"] = await stack.enter_async_context(
                https.listening(application, address, self._tls(nodes=True), connections=self._places // 6)
            )
            if settings.jobs:
                bound["jobs"] = await stack.enter_async_context(self._jobs())
            enrolment = self._enrolment()
            if enrolment is not None and settings.enrol:
                enrolment_server = await self._serve(
                    stack, methods.build_enrolment(enrolment), self._places // 6, drain=self._drain
                )
                bound["enrol"] = await _listen(enrolment_server, "SKERRY_ENROL", settings.enrol, self._tls(nodes=False))
            table = methods.build(
                self._services.fleet, self._services.intake, self._services.instruments, self._services.guard, enrolment
            )
            streams = await self._serve(stack, table, self._places // 2, drain=self._drain_fleet)
            bound["listen"] = await _listen(streams, "SKERRY_LISTEN", settings.listen, self._tls(nodes=True))
            self._ready = True
            try:
                yield bound
            finally:
                self._ready = False
                await asyncio.sleep(settings.notice_seconds)

    async def _serve(
        self,
        stack: contextlib.AsyncExitStack,
        table: Methods,
        connections: int,
        *,
        drain: Callable[[Server], Awaitable[None]],
    ) -> Server:
        server = open_server(self._settings.transport, table, connections)
        stack.push_async_callback(drain, server)
        return server

    async def _drain(self, server: Server) -> None:
        await server.drain(self._settings.drain_seconds)

    async def _drain_fleet(self, server: Server) -> None:
        """Ask every node to connect elsewhere, and write down that it is gone from here."""
        draining = asyncio.create_task(server.drain(self._settings.drain_seconds))
        self._services.fleet.end_all()
        await draining
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._services.fleet.written(), self._settings.drain_seconds)

    def _jobs(self) -> contextlib.AbstractAsyncContextManager[str]:
        settings = self._settings
        assert settings.tickets_key is not None
        store = blobs.open_blobs(settings.blobs)
        beside = [allowlist.route(self._services.guard)]
        application = job_blobs.build(store, job_blobs.read_key(settings.tickets_key), lambda: int(time.time()), beside)
        address = addresses.parse("SKERRY_JOBS", settings.jobs)
        return https.listening(application, address, self._tls(nodes=False), connections=self._places // 6)

    def _enrolment(self) -> enrol.Enrolment | None:
        settings = self._settings
        if settings.issuer is None:
            return None
        policy = enrol.Policy(
            authority=Authority(settings.issuer),
            domain=settings.trust_domain,
            tenant=settings.tenant,
            lifetime=timedelta(days=settings.certificate_days),
            trust_root=settings.trust_root,
        )
        view = self._services.guard.view

        def approved(node: str) -> str:
            key, revoked = view.approval(node) or ("", False)
            return "" if revoked else key

        return enrol.Enrolment(self._services.store, policy, lambda: time.time_ns() // 1_000_000, approved)

    def _tls(self, *, nodes: bool) -> Tls | None:
        settings = self._settings
        if not settings.tls_cert:
            return None
        if nodes:
            return Tls(settings.tls_cert, settings.tls_key, settings.client_ca, modern=True)
        # A node that enrols looks for the CA it pins in the chain; cert-manager's chains end below a self-signed one.
        return Tls(settings.tls_cert, settings.tls_key, modern=True, chain=settings.client_ca)

    def _is_ready(self) -> bool:
        return self._ready

    def _check(self) -> None:
        settings = self._settings
        if bool(settings.tls_cert) != bool(settings.client_ca) or bool(settings.tls_cert) != bool(settings.tls_key):
            raise errors.InputError("SKERRY_TLS_CERT, SKERRY_TLS_KEY and SKERRY_CLIENT_CA go together: set all or none")
        if settings.enrol and (settings.issuer is None or not settings.tls_cert):
            raise errors.InputError(
                "SKERRY_ENROL needs SKERRY_ISSUER and SKERRY_TLS_CERT: nodes are given certificates"
            )
        if settings.jobs and settings.tickets_key is None:
            raise errors.InputError("SKERRY_JOBS needs SKERRY_TICKETS_KEY: the key that jobs' tickets are made with")
        if settings.tls_cert or settings.insecure:
            return
        for name in ("listen", "http", "jobs"):
            value = getattr(settings, name)
            if value and not addresses.is_loopback(addresses.parse(f"SKERRY_{name.upper()}", value)[0]):
                raise errors.InputError(
                    f"SKERRY_{name.upper()} is {value}: without SKERRY_TLS_CERT the gateway listens on loopback only; "
                    "SKERRY_INSECURE=1 allows it on a network that is trusted otherwise"
                )


def open_server(transport: str, table: Methods, connections: int) -> Server:
    """What nodes speak to: it takes what they may upload. As `rpc.open_server`."""
    limits_of_nodes = _LIMITS.sharing(connections)
    return rpc.open_server(transport, table, max_message_bytes=contract.MAX_FLEET_MESSAGE_BYTES, limits=limits_of_nodes)


async def _listen(server: Server, name: str, address: str, tls: Tls | None) -> str:
    host, port = addresses.parse(name, address)
    return addresses.show(host, await server.listen(host, port, tls))
