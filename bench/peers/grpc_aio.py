"""A plain grpc.aio servicer."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from bench.peers import plain


def _wrap(answer: Callable[[Any], Any]) -> Any:
    async def handler(request: Any, _context: Any) -> Any:
        return answer(request)

    return handler


async def _main() -> None:
    given = plain.arguments()
    server = grpc.aio.server(options=plain.OPTIONS)
    server.add_generic_rpc_handlers((plain.handlers(given, _wrap),))
    given.bind(server)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_main())
