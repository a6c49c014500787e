"""Skerry's trust client behind the command line of the TUF authors' conformance suite (its CLIENT-CLI.md): a target of
any name is downloaded, where a node fetches whole versions.

The suite starts a process for each command. That process asks a server, which has loaded tuf once and forks for each
command: 110 tests take a fifth of the time. The command's clock goes along, for the suite sets it with faketime.
Exit code 0 is done, 1 refused, 2 a fault of ours, which no test takes for a refusal.
"""

import json
import os
import socket
import sys

SOCKET = "SKERRY_TUF_CLIENT"
_FAULT = 2


def ask(arguments: list[str]) -> int:
    """Have the server play one command; its exit code."""
    import time

    with socket.socket(socket.AF_UNIX) as link:
        link.connect(os.environ[SOCKET])
        link.sendall(json.dumps({"arguments": arguments, "unix_s": time.time()}).encode())
        link.shutdown(socket.SHUT_WR)
        answer = link.makefile().read()
    code, _, text = answer.partition("\n")
    sys.stderr.write(text)
    return int(code or _FAULT)


def serve(path: str) -> None:
    """Answer commands on the Unix socket `path` until killed."""
    import contextlib
    import signal
    import traceback

    import tuf_commands

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended commands need no wait
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            link, _ = listening.accept()
            if os.fork():
                link.close()
                continue
            with link, link.makefile("rw") as stream, contextlib.suppress(BrokenPipeError):
                try:
                    answer = tuf_commands.play(**json.load(stream))
                except BaseException:
                    answer = f"{_FAULT}\n{traceback.format_exc()}"
                stream.write(answer)
            os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    sys.exit(ask(sys.argv[1:]))
