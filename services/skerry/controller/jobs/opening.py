"""From settings to what runs training jobs: processes of this machine, or Jobs of a cluster."""

import functools
import sys
import time
from pathlib import Path

from skerry.controller import settings
from skerry.controller.jobs import command, local
from skerry.controller.jobs.protocol import Jobs
from skerry.core import errors, job_tickets, urls


def open_jobs(given: settings.Settings) -> Jobs:
    """Raises InputError naming the variable that is missing or wrong."""
    if given.jobs == "local":
        return local.LocalJobs(
            given.jobs_folder, functools.partial(command.local, sys.executable), settings.job_environment(given)
        )
    if not given.jobs.startswith("kubernetes://"):
        raise errors.InputError(
            f"SKERRY_JOBS must be local or kubernetes://<namespace>, not {urls.without_secret(given.jobs)!r}"
        )
    from skerry.adapters import kubernetes
    from skerry.controller.jobs import manifest
    from skerry.controller.jobs.kubernetes import KubernetesJobs

    if not given.job_image or not given.job_door.startswith("https://") or given.tickets_key is None:
        raise errors.InputError(
            "jobs in a cluster need SKERRY_JOB_IMAGE, SKERRY_JOB_DOOR (https://host:port/) and SKERRY_TICKETS_KEY"
        )
    api = kubernetes.connect(given.jobs)
    site = manifest.Site(
        namespace=api.namespace,
        image=given.job_image,
        environment=settings.cluster_job_environment(
            given, "" if given.job_ca is None else _read(given.job_ca, "SKERRY_JOB_CA").decode(errors="replace")
        ),
        pull_policy=given.job_pull_policy,
        pull_secrets=[name for one in given.job_pull_secrets.split(",") if (name := one.strip())],
    )
    key = job_tickets.check_key(_read(given.tickets_key, "SKERRY_TICKETS_KEY"))
    return KubernetesJobs(api, site, key, lambda: int(time.time()), time.monotonic)


def outlive_the_controller(given: settings.Settings) -> bool:
    """Jobs of a cluster go on when this controller is told to stop; processes of this machine end with it."""
    return given.jobs != "local"


def _read(path: Path, variable: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise errors.InputError(f"{variable}: {path} cannot be read: {exc.strerror}") from exc
