"""The trainer and the teacher's maker as processes: files and exit codes, and the last words of a run that failed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from door_world import DoorWorld
from training_world import MODEL, World, spec

from skerry.adapters import blobs as blob_store
from skerry.adapters import objects as object_store
from skerry.core import errors, manifest, writers
from skerry.serving import selftest
from skerry.trainer import settings, teach

TESTS = Path(__file__).parents[1]


def world_on_disk(folder: Path, **changes: Any) -> World:
    """The world of the other tests, in real stores."""
    world = World()
    world.blobs = blob_store.open_blobs(f"file://{folder}/blobs")  # type: ignore[assignment]
    world.objects = object_store.open_objects(f"sqlite://{folder}/objects.db")  # type: ignore[assignment]
    world.objects.create("EdgeModel", MODEL, spec(**changes), manager=writers.OPERATOR)
    return world


def run(folder: Path, module: str, *arguments: str, **environment: str) -> tuple[int, list[dict[str, Any]]]:
    """Run a module as its job would be; returns its exit code and its log lines."""
    known = {
        **({"SKERRY_OBJECTS": f"sqlite://{folder}/objects.db"} if module.endswith("teach") else {}),
        "SKERRY_BLOBS": f"file://{folder}/blobs",
        "PYTHONPATH": os.pathsep.join([str(TESTS.parent / "services"), str(TESTS)]),
        "PATH": os.environ["PATH"],
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env=known | environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]


@pytest.mark.long
def test_a_run_as_a_process_leaves_a_proposal_and_exits_with_zero(tmp_path: Path) -> None:
    world = world_on_disk(tmp_path)
    world.ask("run-1", world.standard())
    code, lines = run(tmp_path, "skerry.trainer.main", SKERRY_RUN="run-1")
    assert code == 0
    assert [line["epoch"] for line in lines if line["event"] == "epoch"] == list(range(1, 13))
    assert lines[-1]["event"] == "proposed" and lines[-1]["verdict"] == "Pass"
    proposal = json.loads(world.blobs.read("proposals/run-1.json", max_bytes=1 << 20))
    assert proposal["digest"] == lines[-1]["digest"]


def test_a_job_of_a_cluster_needs_a_ticket_and_nothing_else(tmp_path: Path) -> None:
    world = World()
    world.ask("run-1", world.standard())
    door = DoorWorld(tmp_path, world.blobs)
    door.open()
    given = {"SKERRY_RUN": "run-1", "SKERRY_BLOBS": door.url, "SKERRY_TICKET": door.ticket, "SKERRY_CA": door.ca}
    code, lines = run(tmp_path, "skerry.trainer.main", **given)
    door.close()
    assert code == 0, lines[-1]
    assert json.loads(world.blobs.read("proposals/run-1.json", max_bytes=1 << 20))["verdict"]["outcome"] == "Pass"


@pytest.mark.parametrize(
    ("environment", "changes", "word"),
    [
        pytest.param({"SKERRY_RUN": "run-2"}, {}, "run-2", id="a run that does not exist"),
        pytest.param({}, {}, "SKERRY_RUN", id="no run named"),
        pytest.param(
            {"SKERRY_RUN": "run-1"},
            {"network": {"factory": "nowhere:net"}},
            "PYTHONPATH",
            id="a network that is not there",
        ),
    ],
)
def test_a_run_that_cannot_be_says_so_in_its_last_line(
    tmp_path: Path, environment: dict[str, str], changes: dict[str, Any], word: str
) -> None:
    world = world_on_disk(tmp_path, **changes)
    world.ask("run-1", world.standard())
    code, lines = run(tmp_path, "skerry.trainer.main", **environment)
    assert code == 1 and lines[-1]["event"] == "training_failed" and word in lines[-1]["error"]
    assert not world.blobs.exists("proposals/run-1.json")


def test_a_missing_variable_is_named(tmp_path: Path) -> None:
    code, lines = run(tmp_path, "skerry.trainer.teach", "--model", MODEL, "--out", "x", SKERRY_OBJECTS="")
    assert code == 1 and lines[-1]["event"] == "teaching_failed" and "SKERRY_OBJECTS" in lines[-1]["error"]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SKERRY_BLOBS", raising=False)
        with pytest.raises(errors.InputError, match="SKERRY_BLOBS"):
            settings.read()


def test_what_is_wrong_is_told_before_torch_is_loaded() -> None:
    code = "import sys; from skerry.trainer import main; print(main.main(), 'torch' in sys.modules)"
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], env=paths, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "1 False"


@pytest.mark.long
def test_a_teacher_is_made_for_the_oip_server_and_passes_its_self_test(tmp_path: Path) -> None:
    teacher = {"factory": "own_networks:press", "options": {"width": 64}}
    world = world_on_disk(tmp_path, teacher=teacher)
    digest = world.standard()
    world.objects.patch("EdgeModel", MODEL, manager=writers.OPERATOR, spec={"datasetDigest": digest})
    out = tmp_path / "models"
    code, lines = run(tmp_path, "skerry.trainer.teach", "--model", MODEL, "--out", str(out))
    assert code == 0, lines[-1]
    taught = next(line for line in lines if line["event"] == "taught")
    assert taught["loss"] < 0.1 and any(line["event"] == "epoch" for line in lines)
    folder = out / MODEL / "1"
    assert sorted(path.name for path in folder.iterdir()) == ["golden.npz", "manifest.json", "model.onnx"]
    made = manifest.from_json((folder / "manifest.json").read_bytes())
    assert made.quantization.scheme == "float32" and made.network["factory"] == "own_networks:press"
    result = selftest.check(made, (folder / "model.onnx").read_bytes(), (folder / "golden.npz").read_bytes())
    assert result.passed, result.reason


def test_a_teachers_next_version_has_the_next_number_and_the_one_before_stays(tmp_path: Path) -> None:
    """A server never sees another content under one number, and may still run the one before."""
    for number in (1, 2, 3):
        assert teach.write({"model.onnx": bytes([number])}, tmp_path / MODEL) == tmp_path / MODEL / str(number)
    assert sorted(path.name for path in (tmp_path / MODEL).iterdir()) == ["2", "3"]
    assert (tmp_path / MODEL / "2" / "model.onnx").read_bytes() == b"\x02"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        pytest.param({}, "names no teacher", id="a model without a teacher"),
        pytest.param({"teacher": {"factory": "own_networks:press"}}, "has no dataset", id="a model without data"),
    ],
)
def test_a_teacher_that_cannot_be_made_says_why(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    world_on_disk(tmp_path, **changes)
    code, lines = run(tmp_path, "skerry.trainer.teach", "--model", MODEL, "--out", str(tmp_path / "models"))
    assert code == 1 and word in lines[-1]["error"]
