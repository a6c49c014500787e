"""A version told for people: by its object, by its manifest where the object is older, and what is not known."""

from typing import Any

import manifests

from skerry.core import compression_report, manifest, version_report

DIGEST = "sha256:" + "a" * 64
TOLD = {
    "scheme": "pruned 50%, static QDQ",
    "int8": True,
    "int8Share": 1.0,
    "reason": "the smallest",
    "floatBytes": 400,
    "networkBytes": 36,
    "goldenBytes": 10,
    "manifestBytes": 5,
    "wireBytes": 51,
    "tried": [{"scheme": "float32", "bytes": 400, "accuracy": 0.99, "latency_us": 4.0, "passed": True, "reason": "no"}],
    "nodes": [{"op": "Conv", "name": "first", "bytes": 30, "int8": True}],
    "perClass": {"float": {"ok": 1.0}, "int8": {"ok": 0.9}},
}
SPEC: dict[str, Any] = {"model": "press", "version": 3, "digest": DIGEST, "source": "Trained", "run": "r"}


def test_a_trained_version_is_told_by_its_object() -> None:
    verdict = {"outcome": "Pass", "reason": "all passed", "gates": [{"name": "imported-int8"}]}
    spec = {**SPEC, "verdict": verdict, "compression": TOLD}
    found = version_report.report("press-v3", spec, {}, {"datasetDigest": DIGEST}, "not here")
    assert found["compression"] == {key: value for key, value in TOLD.items() if key != "perClass"} | {"moreNodes": 0}
    assert found["perClass"] == TOLD["perClass"] and found["dataset"] == DIGEST
    assert (found["gates"]["outcome"], len(found["gates"]["gates"]), found["unknown"]) == ("Pass", 1, [])


def test_a_version_of_an_earlier_release_is_told_by_its_manifest_and_what_is_missing_is_said() -> None:
    made = manifests.digits()
    found = version_report.report("press-v3", SPEC, {}, None, (made, len(made.to_json())))
    kept = found["compression"]
    sizes = sum(file.size_bytes for file in made.files.values())
    assert kept["wireBytes"] == sizes + len(made.to_json()) and kept["networkBytes"] == made.files["model"].size_bytes
    assert (kept["scheme"], kept["tried"]) == (made.quantization.scheme, [])
    assert kept["reason"] == compression_report.NOT_KEPT
    assert [text.partition(":")[0] for text in found["unknown"]] == ["dataset", "gates", "recall by class"]


def test_an_imported_version_says_that_nothing_was_tried_and_not_that_it_is_float() -> None:
    made = manifests.digits()
    spec = {**SPEC, "source": "Imported", "run": ""}
    kept = compression_report.of_manifest(made, 900, imported=True)
    for stored in ((made, 900), "gone"):
        found = version_report.report("press-v3", {**spec, "compression": kept}, {}, None, stored)
        assert found["compression"]["scheme"] is None and found["compression"]["reason"] == compression_report.IMPORTED
        assert found["compression"]["networkBytes"] == made.files["model"].size_bytes
    lost = version_report.report("press-v3", spec, {}, None, "its manifest is gone")
    assert lost["compression"]["networkBytes"] is None and "sizes and layers: its manifest is gone" in lost["unknown"]


def test_what_a_run_reports_is_read_with_distrust() -> None:
    flood = {**TOLD, "tried": [TOLD["tried"][0]] * 500, "nodes": [{"op": "x" * 9000, "bytes": -1}] * 900 + [7]}
    flood |= {"reason": "y" * 10_000, "wireBytes": float("inf"), "perClass": {"float": {1: "a"}, "int8": [1]}}
    found = compression_report.checked(flood)
    assert found is not None
    assert (len(found["tried"]), len(found["nodes"]), found["moreNodes"]) == (24, 200, 700)
    assert (len(found["reason"]), found["wireBytes"], found["nodes"][0]["bytes"]) == (1000, None, None)
    assert found["perClass"] == {"float": {"": None}, "int8": None} and len(found["nodes"][0]["op"]) == 128
    for bad in (None, [], "x", {"int8": True, "reason": "of an earlier release"}, {**TOLD, "tried": {}}):
        assert compression_report.checked(bad) is None


def test_a_report_stays_within_what_an_object_may_hold() -> None:
    node = {"op": "o" * 128, "name": "n" * 512, "bytes": 1, "int8": True}
    entry = {**TOLD["tried"][0], "reason": "r" * 5000}  # type: ignore[index]
    names = {f"{at:04}" + "c" * 300: 1.0 for at in range(5000)}
    huge = {**TOLD, "nodes": [node] * 5000, "tried": [entry] * 100, "perClass": {"float": names, "int8": names}}
    found = compression_report.checked(huge)
    assert len(str(found)) < 300_000
    assert manifest.MAX_BYTES > 300_000
