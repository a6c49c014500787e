"""The short-lived process that touches what is not trusted yet: fetch, verify, load, self-test, and say how it went.

It says `{"phase": "testing"}` once everything is verified, and answers `{"state": …, "reason": …}`. A hostile model
hurts only this process; what its death means is `fetcher`'s to say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from skerry.adapters import child_process
from skerry.agent.update.states import State
from skerry.core import errors


@dataclass(frozen=True, slots=True)
class Job:
    """What to fetch, where to, and what this node can run. Times in seconds, sizes in bytes."""

    target_path: str
    digest: str
    folder: str
    max_bytes: int
    trust_state: str
    trust_root: str
    repository_url: str
    now_unix_s: float
    timeout_s: float
    onnxruntime: str
    max_ir_version: int
    max_opset: int
    identity: str = ""


class _IncompatibleError(errors.RejectedError):
    """This node's runtime cannot load it."""


def run(job: Job, say: child_process.Say) -> tuple[State, str]:
    """(state, reason): STAGED, FETCH_FAILED, REFUSED or INCOMPATIBLE."""
    from skerry.adapters import files
    from skerry.adapters.trust import client

    try:
        root = Path(job.trust_root).read_bytes()
    except OSError as exc:
        return State.FETCH_FAILED, f"cannot read the trusted root {job.trust_root}: {exc.strerror}; put it there"
    node = client.TrustClient(
        Path(job.trust_state),
        root,
        job.repository_url,
        timeout_s=job.timeout_s,
        identity=Path(job.identity) if job.identity else None,
    )
    try:
        now = datetime.fromtimestamp(job.now_unix_s, UTC)
        with files.locked(Path(job.trust_state) / "lock", timeout_s=job.timeout_s):
            fetched = node.fetch(job.target_path, Path(job.folder), job.max_bytes, now=now, accept=_acceptor(job))
        say({"phase": "testing"})
        return _tested(fetched.manifest, Path(job.folder))
    except client.UntrustedMetadataError as exc:
        return State.FETCH_FAILED, f"the repository is not believed now ({exc.reason}): {exc}"
    except _IncompatibleError as exc:
        return State.INCOMPATIBLE, str(exc)
    except errors.UnavailableError as exc:
        return State.FETCH_FAILED, str(exc)
    except (errors.IntegrityError, errors.InputError) as exc:
        return State.REFUSED, str(exc)


def _acceptor(job: Job) -> Callable[[bytes], None]:
    from skerry.agent.update import compatibility
    from skerry.core import manifest

    here = compatibility.Limits(job.onnxruntime, job.max_ir_version, job.max_opset)

    def accept(data: bytes) -> None:
        found = manifest.digest_of(data)
        if found != job.digest:
            raise errors.IntegrityError(f"{job.target_path} is {found}, not {job.digest}, which was assigned")
        why_not = compatibility.fault(manifest.from_json(data).runtime, here)
        if why_not:
            raise _IncompatibleError(f"{job.target_path} does not fit this node: {why_not}")

    return accept


def _tested(manifest_bytes: bytes, folder: Path) -> tuple[State, str]:
    from skerry.core import manifest
    from skerry.serving import selftest

    made = manifest.from_json(manifest_bytes)
    golden = made.files.get("golden")
    result = selftest.check(
        made,
        (folder / made.files["model"].name).read_bytes(),
        (folder / golden.name).read_bytes() if golden is not None else None,
    )
    return (State.STAGED if result.passed else State.REFUSED), f"self-test: {result.reason}"


def _work(job: child_process.Line, say: child_process.Say) -> child_process.Line:
    state, reason = run(Job(**job), say)
    return {"state": state, "reason": reason}


if __name__ == "__main__":
    child_process.serve(_work)
