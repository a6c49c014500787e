"""The supervisor: leftovers are found by pid and start time, ports are free, paths fit, one system per folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skerry.adapters import blobs, lease, objects, redis_link
from skerry.cli.system import ownership, process, process_specs, supervisor
from skerry.cli.system.layout import Layout
from skerry.core import errors, writers

SLEEPER = (sys.executable, "-c", "import time; time.sleep(60)")
READY = (sys.executable, "-c", 'print(\'{"event": "ready"}\', flush=True); import time; time.sleep(60)')
STUBBORN = (
    sys.executable,
    "-c",
    'import signal, time; signal.signal(15, signal.SIG_IGN); print(\'{"event": "ready"}\', flush=True); time.sleep(60)',
)


def spawn(tmp_path: Path, command: tuple[str, ...], name: str = "part") -> process.Process:
    return process.Process(process_specs.ProcessSpec(name, command, {}), tmp_path / f"{name}.log", os.environ)


def test_a_ready_line_is_seen_and_only_of_this_start(tmp_path: Path) -> None:
    (tmp_path / "part.log").write_text('{"event": "ready"}\nnot json\n{broken\n')
    silent = spawn(tmp_path, SLEEPER)
    try:
        assert not silent.is_ready()
    finally:
        silent.kill()
    ready = spawn(tmp_path, READY)
    try:
        process.wait_ready(ready, 30)
    finally:
        ready.kill()
    assert not ready.alive


def test_a_part_that_dies_before_it_is_ready_is_told_with_its_last_words(tmp_path: Path) -> None:
    dying = spawn(tmp_path, (sys.executable, "-c", "print('no disk left'); raise SystemExit(3)"))
    with pytest.raises(errors.UnavailableError, match=r"code 3 .*\n.*no disk left"):
        process.wait_ready(dying, 30)


def test_a_part_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    stubborn = spawn(tmp_path, STUBBORN)
    process.wait_ready(stubborn, 30)
    stubborn.stop(grace_s=0.2)
    assert not stubborn.alive


def test_leftovers_are_stopped_and_a_recycled_pid_is_not(tmp_path: Path) -> None:
    ours, other = subprocess.Popen(SLEEPER, start_new_session=True), subprocess.Popen(SLEEPER, start_new_session=True)
    remembered = tmp_path / "processes.json"
    try:
        ownership.write(remembered, [ours.pid, other.pid])
        text = remembered.read_text().replace(str(ownership.start_time(other.pid)), "1", 1)
        if ownership.start_time(ours.pid) == ownership.start_time(other.pid):
            text = f'{{"{ours.pid}": "{ownership.start_time(ours.pid)}", "{other.pid}": "1"}}'
        remembered.write_text(text)
        assert ownership.living(remembered) == [ours.pid]
        assert ownership.stop(remembered, grace_s=5) == 1
        assert ours.wait(5) == -15
        assert other.poll() is None
        assert not remembered.exists()
    finally:
        other.kill()
        other.wait()


def test_a_damaged_memory_of_processes_is_no_memory(tmp_path: Path) -> None:
    (tmp_path / "processes.json").write_text("{")
    assert ownership.living(tmp_path / "processes.json") == []


def test_two_systems_never_share_a_folder(tmp_path: Path) -> None:
    first, second = (supervisor.System(Layout(tmp_path), ["a"]) for _ in range(2))
    first.layout.make()
    first._take_folder()
    try:
        with pytest.raises(errors.RejectedError, match="skerry down"):
            second.start()
    finally:
        first.stop()


def test_ports_are_free_and_distinct() -> None:
    ports = supervisor.free_ports(8)
    assert len(set(ports)) == 8


def test_a_long_state_folder_still_gets_a_socket_that_fits() -> None:
    long = Layout(Path("/tmp") / ("x" * 150))
    assert len(os.fsencode(long.socket)) < 108
    assert long.socket != Layout(Path("/tmp") / ("y" * 150)).socket


def test_memory_of_a_process_counts_its_children() -> None:
    child = "b = bytearray(40 << 20); print(1, flush=True); input()"
    grow = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        (sys.executable, "-c", grow), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"1\n"
        assert ownership.memory_bytes(parent.pid) > 40 << 20
        assert parent.stdin is not None
        parent.stdin.close()


def test_the_agents_get_no_key_no_object_store_and_no_redis(tmp_path: Path) -> None:
    system = supervisor.System(Layout(tmp_path), ["edge-1", "edge-2"])
    for node in ("edge-1", "edge-2"):
        given = set(process_specs.agent(system.layout, system.ports, node, "h2").environment)
        assert not given & {"SKERRY_KEYS", "SKERRY_OBJECTS", "SKERRY_REDIS_URL", "SKERRY_BLOBS"}
    keys = [part.name for part in system._table.values() if "SKERRY_KEYS" in part.environment]
    assert keys == ["controller"]


def test_a_state_folder_remembers_where_it_keeps_its_data(tmp_path: Path) -> None:
    made = Layout.found(tmp_path, "s3://bucket/site/")
    made.make()
    again = Layout.found(tmp_path)
    assert (again.blobs_url, again.repository_url) == ("s3://bucket/site/blobs", "s3://bucket/site/repository")
    assert Layout.found(tmp_path, "s3://bucket/site") == again
    with pytest.raises(errors.RejectedError, match="keeps its data in s3://bucket/site"):
        Layout.found(tmp_path, "s3://other")


@pytest.mark.parametrize("name", ["C#", "why?", "50%2F", "a b", "ö"])
def test_a_state_folder_may_have_any_sign_in_its_path(tmp_path: Path, name: str) -> None:
    layout = Layout.found(tmp_path / name / "s")
    layout.make()
    objects.open_objects(layout.objects_url).create("EdgeFleet", "all", {"selector": {}}, manager=writers.OPERATOR)
    blobs.open_shared(layout.repository_url).write("metadata/1.root.json", b"{}")
    blobs.put(blobs.open_blobs(layout.blobs_url), b"content")
    held = lease.open_lease(layout.objects_url, "controller")
    assert held.acquire("me") is not None
    held.release()
    path = redis_link.connect(layout.redis_url).connection_pool.connection_kwargs["path"]
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert (layout.root / "objects.db").is_file()
    assert (layout.repository / "metadata" / "1.root.json").is_file()
    assert len(list((layout.root / "blobs").rglob("*"))) > 1
    assert Path(path) == layout.socket


def test_a_state_folder_that_keeps_its_data_itself_is_not_moved_by_an_option(tmp_path: Path) -> None:
    assert Layout.found(tmp_path).blobs_url == f"file://{tmp_path}/blobs"
    (tmp_path / "objects.db").touch()
    with pytest.raises(errors.RejectedError, match="keeps its data in itself"):
        Layout.found(tmp_path, "s3://other")


@pytest.mark.parametrize("wrong", ["foo", "ftp://host/prefix", "file:relative"])
def test_a_storage_that_is_none_is_refused_before_the_folder_remembers_it(tmp_path: Path, wrong: str) -> None:
    state = tmp_path / "state"
    command = [sys.executable, "-m", "skerry.cli.main", "up", "--state", str(state), "--storage", wrong]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2, refused.stderr
    assert "storage" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not state.exists()
    assert Layout.found(state, "s3://bucket/site").storage == "s3://bucket/site"


def test_a_second_supervisor_leaves_what_finds_the_first(tmp_path: Path) -> None:
    first = supervisor.System(Layout(tmp_path), ["edge-1"])
    first._take_folder()
    kept = [tmp_path / name for name in ("system.json", "processes.json", "supervisor.json")]
    for path in kept:
        path.write_text("{}")
    command = [sys.executable, "-m", "skerry.cli.system.supervisor_main", str(tmp_path), "1", "h2"]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 4
    assert "runs on" in second.stderr
    assert all(path.exists() for path in kept)
    first.stop()
    assert [path.name for path in kept if path.exists()] == ["supervisor.json"]
