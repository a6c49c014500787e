"""A process that brings version 2 up beside version 1 and is killed at a named step.

`python tests/agent_victim.py STATE WHERE before|after`: `WHERE` is `module.Class.method` or `module.function`. It is
killed the first time that is about to run, or has run. Exit code 0: it was never reached.
"""

import asyncio
import functools
import importlib
import os
import signal
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "services")]

import agent_fakes  # noqa: E402
from agent_world import Fetch, Node, Version, bring_up  # noqa: E402


def arm(where: str, moment: str) -> None:
    """Replace the callable by one that kills this process."""
    module_name, _, path = where.partition(":")
    holder = importlib.import_module(module_name)
    *outer, name = path.split(".")
    for part in outer:
        holder = getattr(holder, part)
    original = getattr(holder, name)

    @functools.wraps(original)
    def killed(*args: object, **options: object) -> object:
        if moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **options)
        if asyncio.iscoroutine(result):

            async def then() -> object:
                found = await result
                os.kill(os.getpid(), signal.SIGKILL)
                return found

            return then()
        os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(holder, name, killed)


async def main() -> None:
    state, where, moment = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    node = Node(state, Fetch(Version(1), Version(2)), boot=1)
    await node.restore()
    arm(where, moment)
    async with agent_fakes.running(node.updater.run()):
        await bring_up(node, Version(2), 2)
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main())
