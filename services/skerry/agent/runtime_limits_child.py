"""What this node's runtime can load, found out in a child process: a runtime that this CPU cannot run kills only it.

`python -m skerry.agent.runtime_limits_child` prints the limits as one JSON line. Without an answer the limits are zero,
so that every version is incompatible and says why; what serves already is not touched by that.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from skerry.adapters.telemetry import logs
from skerry.agent.update import compatibility

log = logs.logger("agent.probe")
_TIMEOUT_S = 60.0
COMMAND = (sys.executable, "-m", "skerry.agent.runtime_limits_child")


async def limits(environment: dict[str, str], *, command: Sequence[str] = COMMAND) -> compatibility.Limits:
    """Ask a child. Never raises; a failure is logged and gives zeros."""
    try:
        child = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=environment
        )
    except OSError as exc:
        log.error("runtime_unknown", message=f"cannot start the probe: {exc.strerror}")
        return compatibility.Limits("", 0, 0)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            out, _ = await child.communicate()
        return compatibility.Limits(**json.loads(out))
    except (TimeoutError, ValueError, TypeError):
        _kill(child)
        code = await child.wait()
        log.error(
            "runtime_unknown",
            message=f"the runtime's probe ended with {code} and no answer: no new version can be judged on this node",
        )
        return compatibility.Limits("", 0, 0)
    finally:
        _kill(child)


def _kill(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.kill()


def main() -> None:
    from skerry.serving import probe

    found = probe.limits()
    here = compatibility.Limits(found.onnxruntime, found.max_ir_version, found.max_opset)
    print(json.dumps(asdict(here)), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
