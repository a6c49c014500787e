"""A plain servicer of grpcio's blocking server."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from bench.peers import plain

_THREADS = 4  # on one core more only take turns


def _wrap(answer: Callable[[Any], Any]) -> Any:
    return lambda request, _context: answer(request)


def _main() -> None:
    given = plain.arguments()
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=plain.OPTIONS)
    server.add_generic_rpc_handlers((plain.handlers(given, _wrap),))
    given.bind(server)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    _main()
