"""grpc.testing.TestService, which the interop client of the gRPC authors calls, and `rpc_world`'s echo, as a program.

    python testservice.py TRANSPORT [CERTIFICATE KEY [CLIENT_CA]]

prints `{"port": …, "tls_port": …}`, serves, and drains at SIGTERM. The messages come from grpc_testing.proto beside it.
"""

import asyncio
import functools
import json
import pathlib
import signal
import sys
import tempfile
from typing import Any

import rpc_world
import uvloop
from google.protobuf import descriptor_pb2, message_factory
from grpc_tools import protoc

from skerry import rpc
from skerry.rpc.methods import Call, CallError, Kind, Method, Methods, Status, Tls

PROTO = pathlib.Path(__file__).parent / "conformance" / "grpc_testing.proto"
_PACKAGE = "grpc.testing"
_INITIAL, _TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
_DRAIN_S = 10


@functools.cache
def messages() -> dict[str, Any]:
    """The message classes of the service by name."""
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder) / "set"
        if protoc.main(["", f"-I{PROTO.parent}", f"--descriptor_set_out={made}", str(PROTO)]):
            raise RuntimeError(f"{PROTO} does not compile")
        files = descriptor_pb2.FileDescriptorSet.FromString(made.read_bytes()).file
    return {name.removeprefix(f"{_PACKAGE}."): kind for name, kind in message_factory.GetMessages(files).items()}


def methods() -> Methods:
    kinds = messages()

    def echo_headers(call: Call) -> None:
        if _INITIAL in call.metadata:
            call.set_initial_metadata([(_INITIAL, call.metadata[_INITIAL])])
        if _TRAILING in call.metadata:
            call.set_trailing_metadata([(_TRAILING, call.metadata[_TRAILING])])

    def end_as_asked(request: Any) -> None:
        if request.response_status.code:
            raise CallError(Status(request.response_status.code), request.response_status.message)

    async def empty(_call: Call, _request: bytes) -> bytes:
        return b""

    async def unary(call: Call, data: bytes) -> bytes:
        request = kinds["SimpleRequest"].FromString(data)
        if request.response_compressed.value:
            call.compress()
        echo_headers(call)
        end_as_asked(request)
        payload = kinds["Payload"](body=bytes(request.response_size))
        return bytes(kinds["SimpleResponse"](payload=payload).SerializeToString())

    async def send_all(call: Call, request: Any) -> None:
        for wanted in request.response_parameters:
            if wanted.interval_us:
                await asyncio.sleep(wanted.interval_us / 1e6)
            payload = kinds["Payload"](body=bytes(wanted.size))
            await call.send(kinds["StreamingOutputCallResponse"](payload=payload).SerializeToString())

    async def streaming_output(call: Call, data: bytes) -> None:
        await send_all(call, kinds["StreamingOutputCallRequest"].FromString(data))

    async def streaming_input(call: Call) -> bytes:
        size = 0
        while (data := await call.read()) is not None:
            size += len(kinds["StreamingInputCallRequest"].FromString(data).payload.body)
        return bytes(kinds["StreamingInputCallResponse"](aggregated_payload_size=size).SerializeToString())

    async def full_duplex(call: Call) -> None:
        echo_headers(call)
        while (data := await call.read()) is not None:
            request = kinds["StreamingOutputCallRequest"].FromString(data)
            end_as_asked(request)
            await send_all(call, request)

    table = {
        "EmptyCall": Method(Kind.UNARY, empty),
        "UnaryCall": Method(Kind.UNARY, unary),
        "CacheableUnaryCall": Method(Kind.UNARY, unary),
        "StreamingOutputCall": Method(Kind.SERVER_STREAM, streaming_output),
        "StreamingInputCall": Method(Kind.CLIENT_STREAM, streaming_input),
        "FullDuplexCall": Method(Kind.BIDI, full_duplex),
        "HalfDuplexCall": Method(Kind.BIDI, full_duplex),
    }
    return {f"/{_PACKAGE}.TestService/{name}": method for name, method in table.items()}


async def serve(transport: str, files: list[str]) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    server = rpc.open_server(transport, {**methods(), **rpc_world.methods(rpc_world.Seen())})
    ports = {"port": await server.listen("127.0.0.1", 0)}
    if files:
        ports["tls_port"] = await server.listen("127.0.0.1", 0, Tls(*files))
    print(json.dumps(ports), flush=True)  # noqa: T201
    await stopping.wait()
    await server.drain(_DRAIN_S)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2:]))
