"""What the controller is told by its environment, and what it passes on to training jobs. Nothing else reads it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from skerry.adapters import blobs, service_settings
from skerry.core import errors

# Of ours only what is given; and nothing that makes a process take itself for one of several workers.
_NOT_INHERITED = ("SKERRY_", "WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_", "TORCHELASTIC_")


class Settings(service_settings.ServiceSettings):
    """Variables named `SKERRY_<FIELD>`."""

    objects: str
    """`sqlite:///path/objects.db`; the lease lies beside it."""

    blobs: str
    """URL of the blob root."""

    redis_url: str
    """Readings and evidence. May be down: decisions then wait for data."""

    repository: str
    """URL of the model repository: `file:///folder` or `s3://bucket/prefix`."""

    trust_seed: Path | None = None
    """Folder of the initial metadata, copied into an empty repository: of the keys only `online/` is needed then.
    Without it an empty repository is founded, with new keys."""

    keys: Path
    """Folder of `root/`, `publisher/` and `online/`; only `online/` is read once the repository is there."""

    teacher: str = ""
    """`host:port` of the teacher, passed on to training jobs."""

    jobs: str = "local"
    """Where training jobs run: `local`, or `kubernetes://<namespace>` (`?context=NAME` outside a cluster)."""

    job_image: str = ""
    """Image of the trainer, for jobs in a cluster."""

    job_door: str = ""
    """`https://host:port/` of the gateway's door, as jobs in a cluster reach it."""

    job_ca: Path | None = None
    """File of the authority that the door's certificate is from (PEM); without it the system's."""

    job_teacher: str = ""
    """The teacher as jobs in a cluster reach it; `teacher` when not given."""

    job_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When a node asks the registry for the trainer's image, as Kubernetes names it."""

    job_pull_secrets: str = ""
    """Names of the image pull secrets of jobs in a cluster, with commas between."""

    tickets_key: Path | None = None
    """File of the key that makes jobs' tickets for the door (32 bytes and more); the gateway has the same."""

    jobs_dir: Path | None = None
    """Logs and locks of running training jobs; `jobs` beside the repository's folder when not given."""

    max_jobs: int = Field(default=1, ge=1, le=64)
    """Training jobs at once; more wait their turn. One, because a run takes all cores it finds."""

    tick_seconds: float = Field(default=0.5, gt=0, le=60)
    """Longest time between two looks at everything; changes of objects wake the controller at once."""

    keep_rollouts: int = Field(default=100, ge=10, le=10_000)
    """Finished ModelRollouts of each model that are kept; older ones are deleted, but for what a decision still needs:
    the newest that succeeded on each fleet, what a node's assignment names, all while one of the model goes on."""

    keep_runs: int = Field(default=100, ge=10, le=10_000)
    """Finished TrainingRuns of each model that are kept; older ones are deleted, but for those whose version is
    published. Datasets that no run names any more may go then."""

    keep_audit_days: int = Field(default=90, ge=1, le=3_650)
    """So long a record of what people did is an object (`skerry audit`); then it moves to `audit/` in the blobs."""

    webhook_url: str = ""
    """`https://…` that is told of rollouts, runs and nodes (docs/how-to/alerts.md); empty: none."""

    webhook_secret: Path | None = None
    """File of the secret that signs what is sent: `whsec_` and 24 to 64 bytes in base64."""

    webhook_allow: str = ""
    """Networks that may be sent to besides public addresses, as `10.1.0.0/16`, with commas; without TLS only they."""

    webhook_offline_percent: int = Field(default=10, ge=1, le=100)
    """So many nodes in a hundred must be offline to be told of, and less than half of it to be back."""

    health: str = ""
    """`host:port` of a plain HTTP listener for /healthz, /readyz and /metrics; empty: none."""

    log_level: str = "INFO"
    """The least serious log lines that are written: DEBUG, INFO, WARNING or ERROR."""

    @property
    def jobs_folder(self) -> Path:
        """Raises InputError when nothing says where: object storage has no folder beside it."""
        repository = blobs.folder(self.repository)
        if self.jobs_dir is None and repository is None:
            raise errors.InputError(f"SKERRY_JOBS_DIR must say where jobs log: {self.repository} is no folder")
        return self.jobs_dir or (repository or Path()).parent / "jobs"


def read() -> Settings:
    """From the environment. Raises InputError naming every variable that is missing or wrong."""
    return service_settings.read(Settings, "controller")


def job_environment(settings: Settings) -> Mapping[str, str]:
    """What every training job gets: this process's environment without any key or signing folder, and where data is."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    given = {"SKERRY_BLOBS": settings.blobs, "SKERRY_TEACHER": settings.teacher}
    return {"OMP_NUM_THREADS": "1", **inherited, **given}


def cluster_job_environment(settings: Settings, ca: str) -> Mapping[str, str]:
    """What every training job in a cluster gets, beside its run and its ticket. `ca` is PEM text."""
    return {
        "OMP_NUM_THREADS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "SKERRY_BLOBS": settings.job_door,
        "SKERRY_CA": ca,
        "SKERRY_TEACHER": settings.job_teacher or settings.teacher,
    }
