"""gRPC below the data plane: our HTTP/2 core, and grpcio as the fallback. Names no service."""

from dataclasses import replace

from skerry.core import errors
from skerry.rpc.limits import Limits
from skerry.rpc.methods import Methods, Server

TRANSPORTS = ("h2", "grpcio")
_DEFAULTS = Limits()


def open_server(
    transport: str, methods: Methods, *, max_message_bytes: int = 32 << 20, limits: Limits = _DEFAULTS
) -> Server:
    """A server of these methods on the running event loop; call `listen` on it.

    `max_message_bytes` bounds a message in either direction and replaces what `limits` says of it.
    Raises InputError for an unknown transport and UnsupportedError when its libraries are not installed.
    """
    limits = replace(limits, max_message_bytes=max_message_bytes)
    try:
        if transport == "h2":
            from skerry.rpc.h2 import server

            return server.H2Server(methods, limits)
        if transport == "grpcio":
            from skerry.rpc import grpcio_server

            return grpcio_server.GrpcioServer(methods, limits)
    except ImportError as exc:
        raise errors.UnsupportedError(f"transport {transport} needs the package {exc.name}: install it") from exc
    raise errors.InputError(f"unknown transport {transport!r}: choose one of {', '.join(TRANSPORTS)}")
