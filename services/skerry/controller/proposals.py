"""What a training job proposes, read with distrust: the job is a program of somebody's network on somebody's data.

Every byte is bounded and every digest checked before anything is signed. Whether the proposal passed its gates is read
here; what follows from it is decided in `publish`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.core import compression_report, contract, digests, errors, gates, manifest


@dataclass(frozen=True, slots=True)
class Proposal:
    """`verdict` is `gates.Verdict.to_json()` as the trainer wrote it; `outcome` its outcome. `compression`: what it
    says became of the network (`core.compression_report`); None when it does not say."""

    digest: str
    outcome: gates.Outcome
    verdict: Mapping[str, Any]
    compression: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version ready to be signed: its manifest, and its files' contents by name, `manifest.json` among them."""

    digest: str
    manifest: manifest.Manifest
    contents: Mapping[str, bytes]

    @property
    def size_bytes(self) -> int:
        return sum(len(data) for data in self.contents.values())


def read(blobs: Blobs, run: str) -> Proposal | None:
    """The proposal of `run`, None when there is none. Raises IntegrityError when it is not one."""
    path = contract.proposal_path(run)
    if not blobs.exists(path):
        return None
    try:
        body = json.loads(blobs.read(path, max_bytes=contract.MAX_PROPOSAL_BYTES))
        digest = digests.check(body["digest"], "digest of the manifest")
        if body["manifest"] != digest:
            raise errors.InputError(f"names manifest {body['manifest']!r} but digest {digest}")
        verdict = body["verdict"]
        report = body.get("report")
        told = compression_report.checked(report.get("compression") if isinstance(report, dict) else None)
        return Proposal(digest, gates.Outcome(verdict["outcome"]), verdict, told)
    except (ValueError, KeyError, TypeError, RecursionError, errors.InputError) as exc:
        raise errors.IntegrityError(f"{path} is not a proposal: {exc!r}") from exc


def fetch(blobs: Blobs, proposal: Proposal, model: str, dataset: str) -> Candidate:
    """All files of the proposal. Raises IntegrityError (damaged, or of another model or dataset), TooLargeError,
    NotFoundError."""
    data = blob_store.fetch(blobs, proposal.digest, manifest.MAX_BYTES)
    parsed = manifest.from_json(data)
    if parsed.model != model:
        raise errors.IntegrityError(f"the proposed manifest is of model {parsed.model!r}, the run of {model!r}")
    if parsed.dataset != dataset:
        raise errors.IntegrityError(f"the proposed manifest names dataset {parsed.dataset}, the run pins {dataset}")
    contents = {"manifest.json": data}
    for file in parsed.files.values():
        if file.name in contents or file.size_bytes > manifest.MAX_FILE_BYTES:
            raise errors.IntegrityError(
                f"the proposed manifest names {file.name} twice or with {file.size_bytes} bytes"
            )
        contents[file.name] = blob_store.fetch(blobs, file.digest, file.size_bytes)
    return Candidate(proposal.digest, parsed, contents)
