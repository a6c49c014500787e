"""The snapshot of a run says what the objects said, and nothing else passes for one."""

import json
from typing import Any

import pytest

from skerry.core import digests, errors, snapshots, specs

DATASET, DIGEST = digests.sha256(b"dataset"), digests.sha256(b"version")
MODEL: dict[str, Any] = {
    "classNames": ["a", "b"],
    "network": {"factory": "x:y"},
    "input": {"name": "x", "datatype": "FP32", "shape": [4]},
    "retrain": {"epochs": 3, "seed": 7},
}
RUN: dict[str, Any] = {"model": "digits", "datasetDigest": DATASET, "overrides": {"epochs": 5}}
VERSION = {"model": "digits", "version": 2, "digest": DIGEST, "targetPath": "retrained/digits/2"}


def test_what_a_job_needs_comes_out_as_it_went_in() -> None:
    found = snapshots.from_json("run-1", snapshots.to_json("run-1", RUN, MODEL, "digits-v2", VERSION))
    assert (found.run.name, found.run.dataset_digest, found.model.name) == ("run-1", DATASET, "digits")
    assert (found.retrain.epochs, found.retrain.seed) == (5, 7)
    assert (found.stable, found.version) == ("digits-v2", specs.parse_model_version("digits-v2", VERSION))


def test_a_version_that_is_not_there_is_none_by_its_name() -> None:
    found = snapshots.from_json("run-1", snapshots.to_json("run-1", RUN, MODEL, "digits-v2", None))
    assert (found.stable, found.version) == ("digits-v2", None)


@pytest.mark.parametrize(
    ("run", "status", "expected"),
    [
        pytest.param({}, {}, "", id="none"),
        pytest.param({}, {"stableVersion": "v1"}, "v1", id="the stable one"),
        pytest.param({"baseVersion": "v0"}, {"stableVersion": "v1"}, "v0", id="the one the run names"),
        pytest.param({"baseVersion": ""}, {"stableVersion": "v1"}, "v1", id="an empty name is none"),
    ],
)
def test_the_version_to_compare_with(run: dict[str, Any], status: dict[str, Any], expected: str) -> None:
    assert snapshots.stable_of(run, status) == expected


def document(**changes: Any) -> bytes:
    return json.dumps(json.loads(snapshots.to_json("run-1", RUN, MODEL, "", None)) | changes).encode()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param(b"", errors.IntegrityError, id="nothing"),
        pytest.param(b"[]", errors.IntegrityError, id="a list"),
        pytest.param(b"[" * 100_000, errors.IntegrityError, id="a bomb of brackets"),
        pytest.param(document(schema=2), errors.IntegrityError, id="a newer schema"),
        pytest.param(document(run={"name": "run-2", "spec": RUN}), errors.IntegrityError, id="another run's"),
        pytest.param(document(model=None), errors.IntegrityError, id="no model"),
        pytest.param(document(run={"name": "run-1", "spec": {"model": "digits"}}), errors.InputError, id="a wrong run"),
        pytest.param(b" " * (snapshots.MAX_BYTES + 1), errors.TooLargeError, id="too much"),
    ],
)
def test_what_is_no_snapshot_is_refused(data: bytes, kind: type[errors.SkerryError]) -> None:
    with pytest.raises(kind):
        snapshots.from_json("run-1", data)
