"""The network before int8 is asked where the version was made by a run, and of nothing else."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from examples import float_network
from examples.client import Answer
from examples.spans import Asked
from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.objects.protocol import Object
from skerry.cli.demo.event_log import KINDS, Snapshot
from skerry.core import contract, errors

ANSWER = Answer(0, "final-0", "edge-1", "sha256:" + "a" * 64, 0.5, (1.0,), (0.0,), (2.0,), "token")
ROWS = Asked(np.zeros((1, 2, 1), np.float32), np.zeros((1, 1)), np.zeros((1, 1, 1)), np.zeros(1, np.int64), 1)


def stack(folder: Path, run: str) -> SimpleNamespace:
    spec = {"digest": ANSWER.digest, **({"run": run} if run else {})}
    versions = {"m-v1": Object("ModelVersion", "m-v1", "u", spec, {}, {}, 1, 1, 0)}
    seen = Snapshot({kind: versions if kind == "ModelVersion" else {} for kind in KINDS})
    layout = SimpleNamespace(blobs_url=folder.as_uri())
    return SimpleNamespace(look=lambda: seen, system=SimpleNamespace(layout=layout))


def test_a_version_that_no_run_made_has_no_float_network(tmp_path: Path) -> None:
    with pytest.raises(errors.UnavailableError, match="no run made"):
        float_network.mean_error(stack(tmp_path, ""), [ANSWER], ROWS, None)


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"verdict": 1}', b"null"])
def test_what_is_no_proposal_is_named(content: bytes, tmp_path: Path) -> None:
    DirectoryBlobs(tmp_path).write(contract.proposal_path("run-1"), content)
    with pytest.raises(errors.SkerryError, match=r"run-1.json is no proposal"):
        float_network.mean_error(stack(tmp_path, "run-1"), [ANSWER], ROWS, None)


def test_a_proposal_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(errors.SkerryError):
        float_network.mean_error(stack(tmp_path, "run-1"), [ANSWER], ROWS, None)
