"""The CronJob that signs anew what the publisher's key signed: its own command, environment and mounts, run here."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import charts
import pytest

from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.trust import ceremony, expiry, keys, store

pytestmark = charts.requires_helm


def _pod(name: str) -> dict[str, Any]:
    job = next(one for one in charts.manifests(name) if one["kind"] == "CronJob")
    return dict(job["spec"]["jobTemplate"]["spec"]["template"]["spec"])


def test_its_command_renews_what_is_due_with_what_the_pod_is_given(tmp_path: Path) -> None:
    """Founded 70 days ago: 20 days are left, and the key of the publisher alone is there."""
    at = datetime.now(UTC) - timedelta(days=70)
    repository = tmp_path / "var/lib/skerry/repository"
    ceremony.ensure(DirectoryBlobs(repository), tmp_path / "all-keys", now=at)
    pod = _pod("cloud")
    container = pod["containers"][0]
    mounted = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert mounted.keys() == {"tmp", "data", "keys-publisher"}
    here = tmp_path / mounted["keys-publisher"].lstrip("/")
    here.parent.mkdir(parents=True)
    (tmp_path / "all-keys" / keys.PUBLISHER).rename(here)

    given = {one["name"]: one["value"].replace("/var/lib/", f"{tmp_path}/var/lib/") for one in container["env"]}
    given["SKERRY_KEYS"] = f"{tmp_path}{given['SKERRY_KEYS']}"
    program = Path(sys.executable).parent / container["command"][0]
    done = subprocess.run(
        [program, *container["command"][1:]],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **given},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "renewed targets, imported\n"), done.stderr
    found = expiry.look(store.Store(DirectoryBlobs(repository), {}))
    left = {one.role: (one.expires - datetime.now(UTC)).days for one in found}
    assert (left["targets"], left["imported"], left["retrained"]) == (89, 89, 19)


@pytest.mark.parametrize("name", ["cloud", "cloud-s3", "cloud-all-options"])
def test_it_has_the_publishers_key_and_no_other(name: str) -> None:
    secrets = [one["secret"]["secretName"] for one in _pod(name)["volumes"] if "secret" in one]
    assert secrets == ["skerry-keys-publisher"]


def test_who_keeps_that_key_elsewhere_has_none_of_it() -> None:
    done = charts.template("skerry", {"renewal": {"enabled": False}})
    assert "renewal" not in done.stdout, done.stderr
