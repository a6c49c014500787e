"""Where jobs run is a setting; what is missing for it is named."""

from pathlib import Path
from typing import Any

import pytest

from skerry.adapters.kubernetes import Api
from skerry.controller import settings
from skerry.controller.jobs import opening
from skerry.controller.jobs.kubernetes import KubernetesJobs
from skerry.controller.jobs.local import LocalJobs
from skerry.core import errors

KUBECONFIG = """
{"apiVersion": "v1", "kind": "Config", "current-context": "a",
 "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
 "users": [{"name": "a", "user": {"token": "t"}}],
 "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}]}
"""


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    (tmp_path / "key").write_bytes(b"k" * 32)
    (tmp_path / "ca.crt").write_text("-----BEGIN CERTIFICATE-----")
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    return {
        "objects": "sqlite:///x",
        "blobs": "file:///x",
        "redis_url": "redis://x",
        "repository": f"file://{tmp_path}/repository",
        "keys": tmp_path,
        "teacher": "teacher:8001",
        "jobs": "kubernetes://training",
        "job_image": "trainer:1",
        "job_door": "https://gateway:8446/",
        "job_ca": tmp_path / "ca.crt",
        "job_pull_secrets": " one, two ,",
        "tickets_key": tmp_path / "key",
    }


def test_jobs_of_this_machine_are_the_default_and_end_with_the_controller(given: dict[str, Any]) -> None:
    here = settings.Settings(**{name: value for name, value in given.items() if not name.startswith("job")})
    assert isinstance(opening.open_jobs(here), LocalJobs) and not opening.outlive_the_controller(here)


def test_jobs_of_a_cluster_go_on_without_the_controller(given: dict[str, Any]) -> None:
    there = settings.Settings(**given)
    made = opening.open_jobs(there)
    assert isinstance(made, KubernetesJobs) and opening.outlive_the_controller(there)
    assert isinstance(made._api, Api) and made._api.namespace == made._site.namespace == "training"
    assert made._site.pull_secrets == ["one", "two"]
    assert made._site.environment == {
        "OMP_NUM_THREADS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "SKERRY_BLOBS": "https://gateway:8446/",
        "SKERRY_CA": "-----BEGIN CERTIFICATE-----",
        "SKERRY_TEACHER": "teacher:8001",
    }


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"jobs": "slurm"}, "SKERRY_JOBS must be local or kubernetes", id="another place"),
        pytest.param({"jobs": "slurm://me:secret@host"}, r"not 'slurm://\*\*\*@host'", id="no password is repeated"),
        pytest.param({"jobs": "kubernetes://"}, "kubernetes://<namespace>", id="no namespace"),
        pytest.param({"jobs": "kubernetes://a?context=b"}, "no cluster can be found", id="a context that is not there"),
        pytest.param({"job_image": ""}, "SKERRY_JOB_IMAGE", id="no image"),
        pytest.param({"job_door": "http://gateway"}, "SKERRY_JOB_DOOR", id="a door without TLS"),
        pytest.param({"tickets_key": None}, "SKERRY_TICKETS_KEY", id="no key"),
        pytest.param({"tickets_key": Path("/nowhere")}, "SKERRY_TICKETS_KEY: /nowhere cannot be", id="a missing key"),
        pytest.param({"job_ca": Path("/nowhere")}, "SKERRY_JOB_CA: /nowhere cannot be read", id="a missing authority"),
    ],
)
def test_what_is_missing_is_named(given: dict[str, Any], changes: dict[str, Any], told: str) -> None:
    with pytest.raises(errors.InputError, match=told):
        opening.open_jobs(settings.Settings(**given | changes))
