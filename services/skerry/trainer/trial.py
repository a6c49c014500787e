"""The self-test of a version before it is proposed, in a child process with bounds: a file that crashes the runtime, or
takes too much memory or time, ends the child, and the run with a reason.

What is tested is `serving.selftest`: the golden set, and the same rows alone, together and in another order.
"""

import asyncio
import tempfile
from pathlib import Path

from skerry.adapters import child_process
from skerry.core import manifest
from skerry.core.manifest import Manifest

COMMAND = child_process.command("skerry.trainer.trial")
TIMEOUT_S = 300.0
_MEMORY_BYTES, _MEMORY_PER_MODEL_BYTE = 4 << 30, 6
_FILE_BYTES = 16 << 20


def fault(version: Manifest, model: bytes, golden: bytes, *, memory_bytes: int = _MEMORY_BYTES) -> str:
    """What is wrong with the version, for people; empty: nothing."""
    limits = child_process.Limits(TIMEOUT_S, memory_bytes + _MEMORY_PER_MODEL_BYTE * len(model), _FILE_BYTES)
    with tempfile.TemporaryDirectory(prefix="skerry-trial-") as name:
        folder = Path(name)
        (folder / manifest.FILE_NAME).write_bytes(version.to_json())
        (folder / "model").write_bytes(model)
        (folder / "golden").write_bytes(golden)
        ended = asyncio.run(child_process.run(COMMAND, {"folder": name}, limits))
    if ended.answer is None:
        return f"the process that tried it {ended.how}"
    return str(ended.answer.get("fault", "the process that tried it gave no answer"))


def _work(job: child_process.Line, say: child_process.Say) -> child_process.Line:
    from skerry.serving import selftest  # heavy, and only the child needs it

    folder = Path(str(job["folder"]))
    version = manifest.from_json((folder / manifest.FILE_NAME).read_bytes())
    tried = selftest.check(version, (folder / "model").read_bytes(), (folder / "golden").read_bytes())
    return {"fault": "" if tried.passed else tried.reason}


if __name__ == "__main__":
    child_process.serve(_work)
