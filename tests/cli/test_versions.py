"""`skerry versions`: the list, and what one version is, also of imports and of earlier releases."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import manifests
import models
import numpy as np
import pytest
from cli_system import StillSystem

from skerry.adapters import blobs
from skerry.adapters.trust import ceremony, keys, repository, store
from skerry.core import compression_report, writers

ROWS = np.random.default_rng(3).normal(size=(6, models.FEATURES)).astype(np.float32)
TRIED = [
    {"scheme": "float32", "bytes": 400, "accuracy": 0.99, "latency_us": 4.0, "passed": True, "reason": "larger"},
    {"scheme": "static int8", "bytes": 100, "accuracy": 0.98, "latency_us": 5.5, "passed": True, "reason": "shipped"},
    {"scheme": "QAT", "bytes": None, "latency_us": None, "passed": False, "reason": "cannot be captured"},
]
TOLD = {
    "scheme": "static int8",
    "int8": True,
    "int8Share": 1.0,
    "reason": "static int8, 100 bytes: the smallest of 2 that pass their gates",
    "floatBytes": 400,
    "networkBytes": 100,
    "goldenBytes": 20,
    "manifestBytes": 7,
    "wireBytes": 127,
    "tried": TRIED,
    "nodes": [{"op": "Conv", "name": "first", "bytes": 90, "int8": True}],
    "perClass": {"float": {"0": 1.0, "1": 0.5}, "int8": {"0": 0.75, "1": None}},
}


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    still = StillSystem(tmp_path / "state")
    described = still.description
    ceremony.ensure(blobs.open_shared(described.repository), Path(described.keys), now=datetime.now(UTC))
    return still


def trained(system: StillSystem, number: int = 1, *, signed: bool = True, **more: Any) -> str:
    """A ModelVersion as the controller makes it, with its manifest in the blobs and its files in the repository."""
    made = manifests.digits()
    digest = blobs.put(system.blobs, made.to_json())
    path = f"retrained/digits/{number}"
    if signed:
        online = keys.load(Path(system.description.keys) / keys.ONLINE)
        signer = repository.Repository(blobs.open_shared(system.description.repository), online)
        contents = {"manifest.json": made.to_json(), "model.onnx": b"network", "golden.npz": b"golden"}
        signer.add_version(store.RETRAINED, "digits", number, digest, contents, now=datetime.now(UTC))
    run = {"model": "digits", "datasetDigest": "sha256:" + "d" * 64}
    name = f"digits-run-{number}"
    system.objects.create("TrainingRun", name, run, manager=writers.OPERATOR)
    spec = {"model": "digits", "version": number, "digest": digest, "targetPath": path, "run": name} | more
    system.objects.create("ModelVersion", f"digits-v{number}", spec, manager=writers.CONTROLLER)
    return f"digits-v{number}"


def shown(system: StillSystem, version: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(system.good("versions", "show", version, "--json"))
    return found


def test_a_version_is_shown_with_all_that_was_tried(system: StillSystem) -> None:
    verdict = {"outcome": "Pass", "reason": "all passed", "gates": [{"name": "imported-int8", "outcome": "Pass"}]}
    found = shown(system, trained(system, compression=TOLD, verdict=verdict))
    kept = found["compression"]
    assert {"scheme", "networkBytes", "wireBytes", "tried", "reason", "nodes"} <= set(kept)
    assert (kept["tried"], kept["nodes"], found["perClass"]) == (TRIED, TOLD["nodes"], TOLD["perClass"])
    assert found["gates"]["gates"] == verdict["gates"] and found["dataset"] == "sha256:" + "d" * 64
    assert found["run"] == "digits-run-1" and found["unknown"] == []
    [signature] = found["signatures"]
    assert signature["role"] == "retrained" and len(signature["keys"]) == 1
    assert signature["note"] == "checked: 3 files by their digests"
    text = system.good("versions", "show", "digits-v1")
    for words in (
        "network 100; golden set 20; manifest 7",
        "downloads it, 127",
        "cannot be captured",
        "0.7500",
        "int8",
    ):
        assert words in text


def test_the_loss_of_a_forecaster_stands_where_accuracy_does(system: StillSystem) -> None:
    lost = [{**TRIED[0], "loss": 12.5}]
    lost[0].pop("accuracy")
    none = {"float": None, "int8": None}
    trained(system, compression={**TOLD, "tried": lost, "perClass": none})
    text = system.good("versions", "show", "digits-v1")
    assert "loss" in text and "12.5000" in text and "accuracy" not in text


def test_a_version_of_an_earlier_release_is_told_by_its_manifest(system: StillSystem) -> None:
    found = shown(system, trained(system))
    assert found["compression"]["networkBytes"] == len(b"network")
    assert found["compression"]["reason"] == compression_report.NOT_KEPT and found["compression"]["tried"] == []
    text = system.good("versions", "show", "digits-v1")
    assert "not known: gates: no verdict was kept" in text


def test_a_signature_that_is_not_there_is_not_called_checked(system: StillSystem) -> None:
    [signature] = shown(system, trained(system, signed=False))["signatures"]
    assert signature["keys"] is None and "not checked: retrained/digits/1 is not signed" in signature["note"]
    trained(system, 2)
    wrong = {"model": "digits", "version": 3, "digest": "sha256:" + "e" * 64, "targetPath": "retrained/digits/2"}
    system.objects.create("ModelVersion", "digits-v3", wrong, manager=writers.CONTROLLER)
    found = shown(system, "digits-v3")
    assert found["signatures"][0]["keys"] is None and "WRONG" in found["signatures"][0]["note"]
    assert "sizes and layers: its manifest is gone" in found["unknown"]


def test_an_imported_version_says_what_nobody_tried(system: StillSystem, tmp_path: Path) -> None:
    np.savez(tmp_path / "golden.npz", x=ROWS)
    (tmp_path / "model.onnx").write_bytes(models.linear())
    arguments = ("--name", "level", "--labels", "low,middle,high", "--golden", tmp_path / "golden.npz")
    system.good("models", "import", tmp_path / "model.onnx", *arguments)
    found = shown(system, "level-v1")
    kept = found["compression"]
    assert (kept["reason"], kept["scheme"]) == (compression_report.IMPORTED, None)
    assert kept["networkBytes"] == len(models.linear()) < kept["wireBytes"]
    assert found["signatures"][0]["role"] == "imported" and found["signatures"][0]["keys"]
    assert "dataset: none, it was imported" in found["unknown"]


def test_versions_are_listed_and_an_unknown_one_is_said_to_be(system: StillSystem) -> None:
    assert "there is no version yet" in system.good("versions")
    trained(system, compression=TOLD)
    trained(system, 2)
    rows = json.loads(system.good("versions", "--json"))
    assert [(row["name"], row["scheme"], row["wireBytes"]) for row in rows] == [
        ("digits-v1", "static int8", 127),
        ("digits-v2", None, None),
    ]
    assert "there is no version of press yet" in system.good("versions", "list", "--model", "press")
    assert "digits-v9" in system.bad(2, "versions", "show", "digits-v9")
