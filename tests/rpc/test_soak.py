"""Clients that misbehave at random: cancel, expire, hang up in the middle. Nothing of it may be left."""

import asyncio
import random
from collections import Counter
from typing import Any

import grpc
import pytest
import rpc_world

_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]


async def _one(channel: Any, chance: random.Random) -> str:
    """A call of some kind; its outcome. Raises AssertionError for a wrong answer."""
    kind = chance.choice(["same", "same", "large", "cancel", "deadline", "stream", "abandon", "raise", "unknown"])
    call: Any = None
    try:
        if kind in ("same", "large"):
            content = chance.randbytes(
                chance.randrange(70_000) if kind == "same" else chance.randrange(1 << 20, 5 << 20)
            )
            assert await channel.unary_unary("/test.Echo/Same")(content, timeout=60) == content
        elif kind == "cancel":
            call = channel.unary_unary("/test.Echo/Sleep")(bytes(chance.randrange(200_000)))
            await asyncio.sleep(chance.random() * 0.02)
            call.cancel()
            await call
        elif kind == "deadline":
            await channel.unary_unary("/test.Echo/Sleep")(b"", timeout=chance.random() * 0.05)
        elif kind in ("stream", "abandon"):
            call = channel.stream_stream("/test.Echo/Talk")()
            for _ in range(chance.randrange(1, 12)):
                content = chance.randbytes(chance.randrange(40_000))
                await call.write(content)
                assert await call.read() == content
            if kind == "stream":
                await call.done_writing()
                assert await call.read() is grpc.aio.EOF
            else:
                call.cancel()
        elif kind == "raise":
            await channel.unary_unary("/test.Echo/Raise")(b"")
        else:
            await channel.unary_unary("/no.Such/Method")(b"")
    except asyncio.CancelledError:
        return f"{kind} cancelled"
    except grpc.aio.AioRpcError as error:
        return f"{kind} {error.code().name}"
    return f"{kind} fine"


async def _user(running: rpc_world.Running, roots: bytes, seed: int, outcomes: Counter[str]) -> None:
    chance = random.Random(seed)
    for _ in range(3):
        if chance.random() < 0.5:
            credentials = grpc.ssl_channel_credentials(roots)
            channel = grpc.aio.secure_channel(f"localhost:{running.tls_port}", credentials, _OPTIONS)
        else:
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{running.port}", _OPTIONS)
        outcomes.update(await asyncio.gather(*(_one(channel, chance) for _ in range(chance.randrange(1, 24)))))
        if chance.random() < 0.5:  # hang up in the middle of a stream
            await channel.stream_stream("/test.Echo/Talk")().write(b"x")
        await channel.close()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_nothing_is_left_of_clients_that_misbehave(loop: str, tmp_path: Any) -> None:
    authority, outcomes = rpc_world.Authority(tmp_path), Counter[str]()
    with rpc_world.serving("h2", loop=loop, tls=authority.tls()) as running:
        roots = authority.path.read_bytes()
        await asyncio.gather(*(_user(running, roots, seed, outcomes) for seed in range(6)))
        expected = {"same fine", "large fine", "cancel cancelled", "deadline DEADLINE_EXCEEDED", "stream fine"}
        assert set(outcomes) == expected | {"abandon fine", "raise INTERNAL", "unknown UNIMPLEMENTED"}
        for _ in range(500):
            if not running.server.peers:
                break
            await asyncio.sleep(0.01)
        server = running.server
        peers, turns = server.peers, server.turns
        left = (len(peers), peers.open_calls, turns.budget.taken_bytes, turns.timed, peers.admission.connections)
        assert left == (0, 0, 0, [], 0)

        async def tasks() -> int:
            return len([task for task in asyncio.all_tasks() if "Call._run" in repr(task)])

        assert await asyncio.to_thread(running.ask, tasks) == 0
