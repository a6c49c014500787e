"""The Python `h2` library as a client: another reading of RFC 9113 agrees with what we send, whatever its windows."""

import socket
from collections.abc import Iterator

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
import rpc_world
from rpc_raw import message

_PSEUDO = ((":method", "POST"), (":scheme", "http"), (":authority", "localhost"))
_REGULAR = (("content-type", "application/grpc"), ("te", "trailers"))


@pytest.fixture(scope="module")
def running() -> Iterator[rpc_world.Running]:
    with rpc_world.serving("h2") as made:
        yield made


def _call(port: int, path: str, content: bytes, window_bytes: int) -> tuple[bytes, dict[bytes, bytes], int]:
    """Reply bytes, header fields and trailers together, and the number of DATA frames."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    client.initiate_connection()
    client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window_bytes})
    stream, reply, fields, pieces = client.get_next_available_stream_id(), b"", {}, 0
    client.send_headers(stream, [*_PSEUDO, (":path", path), *_REGULAR])
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        while True:
            window = min(client.local_flow_control_window(stream), client.max_outbound_frame_size, len(content))
            if content and window > 0:
                client.send_data(stream, content[:window], end_stream=window == len(content))
                content = content[window:]
                continue
            connection.sendall(client.data_to_send())
            for event in client.receive_data(connection.recv(65_536)):
                match event:
                    case h2.events.DataReceived():
                        reply += event.data
                        pieces += 1
                        client.acknowledge_received_data(event.flow_controlled_length, stream)
                    case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                        fields |= dict(event.headers)
                    case h2.events.StreamEnded():
                        return reply, fields, pieces
                    case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                        raise AssertionError(event)


@pytest.mark.parametrize("window_bytes", [1, 100, 65_535, 1 << 20])
def test_a_call_of_any_window(running: rpc_world.Running, window_bytes: int) -> None:
    """A window update below 1 KiB is tiny, and a peer may send a thousand of them: enough for these replies."""
    content = bytes(range(256)) * min(2_000, 2 * window_bytes)
    reply, fields, pieces = _call(running.port, "/test.Echo/Same", message(content), window_bytes)
    assert reply == message(content)
    assert (fields[b":status"], fields[b"grpc-status"]) == (b"200", b"0")
    assert window_bytes > 1 or pieces == len(reply)


def test_a_server_stream(running: rpc_world.Running) -> None:
    reply, fields, _ = _call(running.port, "/test.Echo/Large", message(b"3"), 65_535)
    assert reply == message(bytes(1 << 20)) * 3 and fields[b"grpc-status"] == b"0"
