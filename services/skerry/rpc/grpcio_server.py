"""The fallback transport: the same method tables and calls on grpc.aio. Slower, and maintained by others.

What grpcio cannot do is not done: no limit per address, no credit against floods, no plain HTTP answer to what is no
gRPC call, no way to end the connection of one caller.
"""

import asyncio
import logging
import pathlib
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from skerry.core import errors
from skerry.rpc import tls as tls_module
from skerry.rpc import unix_sockets
from skerry.rpc.grpcio_call import GrpcioCall
from skerry.rpc.limits import Limits
from skerry.rpc.methods import CallError, Kind, Method, Methods, Receiver, Status, Tls
from skerry.rpc.unix_sockets import UnixAddress

_log = logging.getLogger("skerry.rpc")


class GrpcioServer:
    def __init__(self, methods: Methods, limits: Limits) -> None:
        self._limits = limits
        self._handlers = _handlers(methods, limits)
        self._servers: list[Any] = []

    async def listen(self, host: str, port: int, tls: Tls | None = None) -> int:
        """Start to accept; returns the bound port. Raises UnavailableError for a taken address or unfit files."""
        server = grpc.aio.server(options=_options(self._limits))
        server.add_generic_rpc_handlers(self._handlers)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound = server.add_secure_port(address, _credentials(tls)) if tls else server.add_insecure_port(address)
        except RuntimeError as exc:
            raise errors.UnavailableError(f"cannot listen on {address}: is it in use?") from exc
        await server.start()
        self._servers.append(server)
        return int(bound)

    async def listen_unix(self, address: UnixAddress) -> None:
        if address.users is not None:
            raise errors.UnsupportedError("transport grpcio does not tell who connects to a Unix socket: use h2")
        unix_sockets.check_stale(address)  # grpcio removes whatever lies there
        server = grpc.aio.server(options=_options(self._limits))
        server.add_generic_rpc_handlers(self._handlers)
        try:
            server.add_insecure_port(f"unix:{address.path}")
            unix_sockets.set_mode(address)
        except (RuntimeError, OSError) as exc:
            raise errors.UnavailableError(f"cannot listen on {address}: {exc}") from exc
        await server.start()
        self._servers.append(server)

    def hang_up(self, unwanted: Callable[[bytes], bool]) -> None:
        """grpc.aio has no way to end one connection."""

    async def drain(self, grace_s: float, linger_s: float = 0.0) -> None:
        await asyncio.sleep(linger_s)  # grpcio sends GOAWAY only when it stops: callers are served meanwhile
        await asyncio.gather(*(server.stop(grace_s) for server in self._servers))


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_send_message_length", -1),  # checked by `GrpcioCall.checked`, which names the limit
        ("grpc.max_metadata_size", limits.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", limits.max_metadata_bytes),
        ("grpc.max_concurrent_streams", limits.max_streams),
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.server_handshake_timeout_ms", int(limits.handshake_s * 1000)),
        ("grpc.keepalive_time_ms", int(limits.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(limits.keepalive_timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),  # clients that PING every 10 s are well behaved
        ("grpc.so_reuseport", 0),
    ]


def _credentials(tls: Tls) -> Any:
    renewal = tls_module.Renewal(tls, _certificates)
    return grpc.dynamic_ssl_server_credentials(
        renewal.current, renewal.fresh, require_client_authentication=tls.client_ca is not None
    )


def _certificates(tls: Tls) -> Any:
    tls_module.context(tls)  # OpenSSL says what is wrong with a pair; grpcio only fails handshakes
    key, chain = pathlib.Path(tls.key).read_bytes(), pathlib.Path(tls.certificate).read_bytes()
    roots = pathlib.Path(tls.client_ca).read_bytes() if tls.client_ca else None
    return grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=roots)


def _handlers(methods: Methods, limits: Limits) -> tuple[Any, ...]:
    services: dict[str, dict[str, Any]] = {}
    for path, method in methods.items():
        service, _, name = path.lstrip("/").rpartition("/")
        services.setdefault(service, {})[name] = _handler(path, method, limits.max_message_bytes)
    return tuple(grpc.method_handlers_generic_handler(service, table) for service, table in services.items())


def _handler(path: str, method: Method, max_message_bytes: int) -> Any:
    run: Callable[..., Awaitable[Any]] = method.handler  # type: ignore[assignment]  # BATCH is wrapped below
    if method.kind is Kind.BATCH:
        run = _Batches(method.handler).answer

    async def unary(request: bytes, context: Any) -> bytes | None:
        return await _guarded(run, GrpcioCall(path, context, max_message_bytes), request)

    async def stream(_requests: Any, context: Any) -> bytes | None:
        return await _guarded(run, GrpcioCall(path, context, max_message_bytes))

    async def receive(_requests: Any, context: Any) -> None:
        await _guarded(_feed_receiver, GrpcioCall(path, context, max_message_bytes), method.handler)

    match method.kind:
        case Kind.BATCH | Kind.UNARY:
            return grpc.unary_unary_rpc_method_handler(unary)
        case Kind.SERVER_STREAM:
            return grpc.unary_stream_rpc_method_handler(unary)
        case Kind.CLIENT_STREAM:
            return grpc.stream_unary_rpc_method_handler(stream)
        case Kind.BIDI:
            return grpc.stream_stream_rpc_method_handler(stream)
        case Kind.RECEIVER:
            return grpc.stream_stream_rpc_method_handler(receive)


async def _feed_receiver(call: GrpcioCall, handler: Callable[[GrpcioCall], Receiver]) -> None:
    """A RECEIVER method: grpcio has no callbacks, so a coroutine reads and calls the receiver."""
    ended = call.answer()
    receiver = handler(call)
    reading: asyncio.Future[bytes | None] | None = None
    try:
        while True:
            reading = asyncio.ensure_future(call.read())
            await asyncio.wait((ended, reading), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                break
            message = reading.result()
            if message is None:
                receiver.finished()
                break
            receiver.received(message)
        await ended
    finally:
        if reading is not None:
            reading.cancel()
        receiver.closed()


async def _guarded(run: Callable[..., Awaitable[Any]], call: GrpcioCall, *arguments: Any) -> bytes | None:
    try:
        reply = await run(call, *arguments)
        await call.send_head()
        return None if reply is None else call.checked(reply)
    except CallError as error:
        await call.abort(error)
    except (grpc.aio.AbortError, grpc.aio.UsageError, grpc.aio.InternalError):
        raise  # the peer is gone, or the call has ended
    except Exception:  # noqa: BLE001  # the last line between a handler and the wire
        _log.exception("handler_failed", extra={"fields": {"method": call.method}})
        await call.abort(CallError(Status.INTERNAL, "internal error"))
    finally:
        call.ended = True
    return None


class _Batches:
    """Gathers the calls of one loop turn for a BATCH handler."""

    def __init__(self, handler: Callable[..., Any]) -> None:
        self._handler = handler
        self._waiting: list[tuple[GrpcioCall, bytes]] = []

    async def answer(self, call: GrpcioCall, request: bytes) -> bytes:
        reply = call.answer()
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._run)
        self._waiting.append((call, request))
        return await reply

    def _run(self) -> None:
        waiting, self._waiting = self._waiting, []
        batch = [(call, request) for call, request in waiting if not call.done]
        try:
            if batch:
                self._handler(batch)
        except Exception:  # noqa: BLE001  # the last line between a handler and the wire
            _log.exception("batch_handler_failed", extra={"fields": {"method": waiting[0][0].method}})
            for call, _ in batch:
                call.fail(Status.INTERNAL, "internal error")
