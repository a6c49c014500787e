"""A version as `skerry versions show` and the dashboard's page tell it: a join of its object, its run and, where it can
be had, its manifest. What is not known is null, and `unknown` says why.
"""

from collections.abc import Mapping
from typing import Any

from skerry.core import compression_report
from skerry.core.manifest import Manifest


def report(
    name: str,
    spec: Mapping[str, Any],
    status: Mapping[str, Any],
    run: Mapping[str, Any] | None,
    stored: tuple[Manifest, int] | str,
) -> dict[str, Any]:
    """`run` is TrainingRun.spec (None: there is none); `stored` the manifest with its size in bytes, or why it cannot
    be had. Signatures are those that whoever has the repository checks (see `signature`)."""
    imported, unknown = spec.get("source") == "Imported", []
    found = compression_report.checked(spec.get("compression"))
    if found is None and not isinstance(stored, str):
        found = compression_report.of_manifest(*stored, imported=imported)
    if found is None:
        unknown.append(f"sizes and layers: {stored}")
        found = compression_report.unknown(imported=imported)
    per_class = found.pop("perClass")
    dataset, parents = _dataset(run, stored), [] if isinstance(stored, str) else list(stored[0].parents)
    if not dataset:
        unknown.append("dataset: " + ("none, it was imported" if imported else f"its run is gone, {stored}"))
    said = spec.get("verdict")
    verdict: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
    if not verdict:
        unknown.append("gates: it was not judged" if imported else "gates: no verdict was kept")
    if not per_class["float"] and not per_class["int8"]:
        unknown.append("recall by class: " + _why_no_classes(imported, stored))
    return {
        "name": name,
        "model": spec.get("model"),
        "version": spec.get("version"),
        "digest": spec.get("digest"),
        "source": spec.get("source", "Trained"),
        "run": spec.get("run") or None,
        "dataset": dataset or None,
        "parents": parents,
        "available": _available(status),
        "compression": found,
        "perClass": per_class,
        "gates": {
            "outcome": verdict.get("outcome"),
            "reason": verdict.get("reason"),
            "gates": list(verdict.get("gates") or []),
        },
        "runtime": dict(spec.get("runtime") or {}),
        "unknown": unknown,
    }


def signature(path: str, keys: tuple[str, ...] | None, note: str) -> dict[str, Any]:
    """One entry of `signatures`: the role of the model repository that signed the version's files, and by which keys;
    `keys` None: that was not checked here, `note` says why."""
    role = path.partition("/")[0]
    return {"role": role, "path": path, "keys": None if keys is None else list(keys), "note": note}


def _dataset(run: Mapping[str, Any] | None, stored: tuple[Manifest, int] | str) -> str:
    of_run = str((run or {}).get("datasetDigest") or "")
    return of_run or ("" if isinstance(stored, str) else stored[0].dataset)


def _why_no_classes(imported: bool, stored: tuple[Manifest, int] | str) -> str:
    if not isinstance(stored, str) and not stored[0].class_names:
        return "its answers are no classes"
    return "an imported version is not measured by class" if imported else "not kept"


def _available(status: Mapping[str, Any]) -> dict[str, Any]:
    listed = status.get("conditions")
    entries = listed if isinstance(listed, list) else []
    found = next((one for one in entries if isinstance(one, Mapping) and one.get("type") == "Available"), {})
    return {"status": found.get("status", "Unknown"), "message": found.get("message", "")}
