"""The controller as a process: founds the repository, leads, publishes, drains, is followed when killed. Redis is away
all the time: nothing here needs it."""

import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import controlled_model
import pytest

from skerry.adapters import objects as object_store
from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.objects.protocol import Objects
from skerry.adapters.trust import keys, repository
from skerry.controller import settings
from skerry.core import errors, writers
from skerry.core.tasks import Classification


def environment(tmp: Path) -> dict[str, str]:
    return {
        "SKERRY_OBJECTS": f"sqlite://{tmp}/objects.db",
        "SKERRY_BLOBS": f"file://{tmp}/blobs",
        "SKERRY_REDIS_URL": f"unix://{tmp}/nobody.sock",
        "SKERRY_REPOSITORY": f"file://{tmp}/repository",
        "SKERRY_KEYS": f"{tmp}/keys",
        "SKERRY_TEACHER": "127.0.0.1:1",
        "SKERRY_TICK_SECONDS": "0.1",
    }


class Controller:
    """A process and its log."""

    def __init__(self, tmp: Path, name: str = "one", **changes: str) -> None:
        self.log = tmp / f"{name}.log"
        path = os.pathsep.join(str(Path(__file__).parents[2] / folder) for folder in ("services", "tests"))
        given = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environment(tmp), **changes}
        with self.log.open("ab") as out:
            command = [sys.executable, "-m", "skerry.controller.main"]
            self.process = subprocess.Popen(command, env=given, stdout=out, stderr=subprocess.STDOUT)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]

    def wait_for(self, event: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = []

        def seen() -> bool:
            found[:] = [one for one in self.events() if one["event"] == event]
            assert found or self.process.poll() is None, self.log.read_text()
            return bool(found)

        until(seen)
        return found[0]

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Controller]]:
    started: list[Controller] = []

    def make(name: str = "one", **changes: str) -> Controller:
        started.append(Controller(tmp_path, name, **changes))
        return started[-1]

    yield make
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def opened(tmp: Path) -> Objects:
    return object_store.open_objects(environment(tmp)["SKERRY_OBJECTS"])


def test_it_founds_publishes_and_ends_when_told(tmp_path: Path, start: Callable[..., Controller]) -> None:
    controller = start(SKERRY_HEALTH="127.0.0.1:0")
    port = controller.wait_for("ready")["health"]
    assert (tmp_path / "repository/metadata/1.root.json").exists()
    until(
        lambda: (
            ends(port) == {"root": 364, "targets": 89, "imported": 89, "retrained": 89, "snapshot": 13, "timestamp": 1}
        )
    )
    objects = opened(tmp_path)
    objects.create("EdgeModel", "digits", controlled_model.edge_model("sha256:" + "0" * 64), manager=writers.OPERATOR)
    contents, made = controlled_model.candidate("import-1", "")
    signer = repository.Repository(DirectoryBlobs(tmp_path / "repository"), keys.load(tmp_path / "keys" / "publisher"))
    path = signer.add_version("imported", "digits", 1, made.digest, contents, now=controlling_now())
    spec = {"model": "digits", "version": 1, "digest": made.digest, "targetPath": path, "source": "Imported"}
    objects.create("ModelVersion", "digits-v1", spec, manager=writers.OPERATOR)
    assert controller.wait_for("version_published")["version"] == 1
    assert controller.end() == 0
    assert not [one for one in controller.events() if one.get("level") == "error"]


def ends(port: int) -> dict[str, int]:
    """Whole days until each role's signature ends, as its metrics say."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.findall(r'^skerry_metadata_expires_seconds\{role="(\w+)"\} ([0-9.e+]+)$', text, re.MULTILINE)
    return {role: int(float(seconds) // 86_400) for role, seconds in found}


def controlling_now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def test_a_second_controller_waits_and_follows_when_the_first_is_killed(
    tmp_path: Path, start: Callable[..., Controller]
) -> None:
    first = start("first")
    assert first.wait_for("leading")["epoch"] == 1
    second = start("second")
    second.wait_for("waiting_for_lease")
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    assert second.wait_for("leading")["epoch"] == 2
    assert second.end() == 0


def test_a_job_outlives_a_killed_controller_is_adopted_and_ends_with_the_next(
    tmp_path: Path, start: Callable[..., Controller]
) -> None:
    """The job is a real trainer; it waits for its EdgeModel's factory, which sleeps."""
    (tmp_path / "slow_network.py").write_text("import time\n\ndef make(**_):\n    time.sleep(600)\n")
    first = start("first", PYTHONPATH=_path(tmp_path))
    first.wait_for("leading")
    objects = opened(tmp_path)
    _ask_run(tmp_path, objects)
    first.wait_for("training_started")
    pid_file = tmp_path / "jobs" / "run-1.pid"
    until(pid_file.exists)
    pid = int(pid_file.read_text())
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    second = start("second", PYTHONPATH=_path(tmp_path))
    second.wait_for("leading")
    assert Path(f"/proc/{pid}").exists()
    assert second.end() == 0
    assert [one for one in second.events() if one["event"] == "training_interrupted"]
    assert not [one for one in second.events() if one["event"] == "training_started"]
    until(lambda: not _lives(pid))


def _path(tmp: Path) -> str:
    root = Path(__file__).parents[2]
    return os.pathsep.join(map(str, (root / "services", root / "tests", tmp)))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _ask_run(tmp: Path, objects: Objects) -> None:
    from skerry.adapters import blobs as blob_store
    from skerry.core import datasets, digests

    made = datasets.DatasetManifest(
        "digits", Classification(tuple("0123456789")), datasets.Input("image", "UINT8", (28, 28)), ()
    ).to_json()
    digest = digests.sha256(made)
    blobs = blob_store.open_blobs(environment(tmp)["SKERRY_BLOBS"])
    blobs.write(f"datasets/digits/{digests.hex_of(digest)}", made)
    spec = controlled_model.edge_model(digest) | {"network": {"factory": "slow_network:make"}}
    objects.create("EdgeModel", "digits", spec, manager=writers.OPERATOR)
    objects.create("TrainingRun", "run-1", {"model": "digits", "datasetDigest": digest}, manager=writers.OPERATOR)


def test_a_wrong_environment_is_told_in_one_line(start: Callable[..., Controller]) -> None:
    controller = start(SKERRY_MAX_JOBS="many")
    assert controller.process.wait(20) == 2
    told = controller.events()[-1]
    assert told["event"] == "controller_failed"
    assert "SKERRY_MAX_JOBS" in told["error"]
    assert "Traceback" not in controller.log.read_text()


def test_every_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SKERRY_"):
            monkeypatch.delenv(name)
    with pytest.raises(errors.InputError) as caught:
        settings.read()
    for name in ("SKERRY_OBJECTS", "SKERRY_BLOBS", "SKERRY_REDIS_URL", "SKERRY_REPOSITORY", "SKERRY_KEYS"):
        assert name in str(caught.value)


def test_jobs_are_told_where_data_is_and_nothing_of_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    given = settings.job_environment(settings.read())
    assert {name for name in given if name.startswith("SKERRY_")} == {
        "SKERRY_BLOBS",
        "SKERRY_TEACHER",
    }
    assert given["PATH"] == os.environ["PATH"]


def test_an_event_that_a_killed_controller_could_not_deliver_is_delivered_by_the_next(
    tmp_path: Path, start: Callable[..., Controller]
) -> None:
    """Real processes, SIGKILL, and a receiver that was away."""
    took: list[tuple[str, str]] = []
    answers = [503]

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            took.append((self.headers["webhook-id"], body["type"]))
            self.send_response(answers[0])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    given = {
        "SKERRY_WEBHOOK_URL": f"http://127.0.0.1:{server.server_port}/",
        "SKERRY_WEBHOOK_SECRET": str(tmp_path / "secret"),
        "SKERRY_WEBHOOK_ALLOW": "127.0.0.0/8",
    }
    first = start("first", **given)
    first.wait_for("leading")
    until((tmp_path / "blobs" / "webhook" / "told.json").exists)
    spec = {"model": "nothing", "datasetDigest": "sha256:" + "0" * 64}
    opened(tmp_path).create("TrainingRun", "doomed", spec, manager=writers.OPERATOR)
    until(lambda: len(took) > 1)
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    refused, answers[0] = len(took), 204
    second = start("second", **given)
    until(lambda: len(took) > refused)
    assert set(took) == {(took[0][0], "run.failed")}
    assert second.end() == 0
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"SKERRY_WEBHOOK_URL": "ftp://x/"}, "SKERRY_WEBHOOK_SECRET"),
        ({"SKERRY_WEBHOOK_URL": "https://x/", "SKERRY_WEBHOOK_SECRET": "/nowhere"}, "/nowhere"),
        ({"SKERRY_WEBHOOK_URL": "ftp://x/", "SKERRY_WEBHOOK_SECRET": "/dev/null"}, "http"),
    ],
    ids=["no secret", "a secret that is not there", "another scheme"],
)
def test_a_webhook_that_is_given_wrong_is_told(
    start: Callable[..., Controller], changes: dict[str, str], told: str
) -> None:
    controller = start(**changes)
    assert controller.process.wait(20) == 2
    assert told in controller.events()[-1]["error"]
