"""What this node's runtime can load, found out in a child process: a runtime that this CPU cannot run kills only it.

Without an answer the limits are zero, so that every version is incompatible and says why; what serves already is not
touched by that.
"""

from collections.abc import Sequence
from dataclasses import asdict

from skerry.adapters import child_process
from skerry.adapters.telemetry import logs
from skerry.agent.update import compatibility
from skerry.core import errors

log = logs.logger("agent.probe")
_LIMITS = child_process.Limits(timeout_s=60.0)
COMMAND = child_process.command("skerry.agent.runtime_limits_child")


async def limits(*, command: Sequence[str] = COMMAND) -> compatibility.Limits:
    """Ask a child. Never raises; a failure is logged and gives zeros."""
    try:
        ended = await child_process.run(command, {}, _LIMITS)
        return compatibility.Limits(**(ended.answer or {}))
    except errors.UnavailableError as exc:
        reason = str(exc)
    except TypeError:
        reason = f"the process that asks it {ended.how}"
    log.error(
        "runtime_unknown",
        message=f"the limits of the runtime are not known: {reason}. No new version can be judged on this node",
    )
    return compatibility.Limits("", 0, 0)


def _work(job: child_process.Line, say: child_process.Say) -> child_process.Line:
    from skerry.serving import probe

    found = probe.limits()
    return asdict(compatibility.Limits(found.onnxruntime, found.max_ir_version, found.max_opset))


if __name__ == "__main__":
    child_process.serve(_work)
