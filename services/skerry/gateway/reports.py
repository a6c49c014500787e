"""A node's report, read with distrust, and what of it is kept where: the EdgeNode's status, and live readings.

Pure: bytes are checked and translated here; `sessions` decides when they are written.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from skerry.core import contract, digests, errors, input_sketch, names, series_stamp
from skerry.core.specs import TargetState
from skerry.proto import edge_pb2, fleet_pb2

MAX_MODELS = 256
MAX_TEXT_CHARS = 256
MAX_REASON_CHARS = 1000
_REASONS_CHARS, _LEAST_REASON_CHARS = 1_500, 75  # of all of a node's models together; of each in any case
_STATES = {
    fleet_pb2.FETCHING: TargetState.FETCHING,
    fleet_pb2.STAGED: TargetState.STAGED,
    fleet_pb2.SERVING: TargetState.SERVING,
    fleet_pb2.FETCH_FAILED: TargetState.FETCH_FAILED,
    fleet_pb2.REFUSED: TargetState.REFUSED,
    fleet_pb2.INCOMPATIBLE: TargetState.INCOMPATIBLE,
    fleet_pb2.SWAP_FAILED: TargetState.SWAP_FAILED,
}


def check(report: fleet_pb2.NodeReport) -> None:
    """Raises InputError naming the node and the field."""
    names.check("EdgeNode", report.node)
    where = f"report of node {report.node}"
    if not report.boot_id:
        raise errors.InputError(f"{where}: boot_id is empty: sequences cannot be told apart without it")
    runtime = report.runtime
    for name, text in (
        ("agent_version", report.agent_version),
        ("boot_id", report.boot_id),
        ("serving_address", report.serving_address),
        ("runtime.arch", runtime.arch),
        ("runtime.cpu_class", runtime.cpu_class),
        ("runtime.onnxruntime", runtime.onnxruntime),
    ):
        if len(text) > MAX_TEXT_CHARS:
            raise errors.TooLargeError(f"{where}: {name} has {len(text)} characters, at most {MAX_TEXT_CHARS} are kept")
    if len(report.models) > MAX_MODELS or len(report.readings) > MAX_MODELS:
        raise errors.TooLargeError(f"{where}: more than {MAX_MODELS} models")
    for model in report.models:
        _check_model(model, where)
    for reading in report.readings:
        _check_reading(reading, where)
    if len(report.warnings) > contract.MAX_NODE_WARNINGS:
        raise errors.TooLargeError(f"{where}: more than {contract.MAX_NODE_WARNINGS} warnings")
    for warning in report.warnings:
        _check_warning(warning, where)


def _check_model(model: fleet_pb2.ModelReport, where: str) -> None:
    names.check("EdgeModel", model.model)
    for name in ("digest", "target_digest", "last_known_good"):
        if text := getattr(model, name):
            digests.check(text, f"{where}: {name} of model {model.model}")
    if len(model.target_rollout) > MAX_TEXT_CHARS:
        raise errors.TooLargeError(f"{where}: target_rollout of model {model.model} is too long")
    if min(model.version, model.target_attempt, model.highest_permit, model.permit_request) < 0:
        raise errors.InputError(f"{where}: a number of model {model.model} is negative")


def _check_reading(reading: fleet_pb2.Reading, where: str) -> None:
    names.check("EdgeModel", reading.model)
    numbers = (reading.window_s, reading.p50_ms, reading.p99_ms, reading.absolute_error, reading.coverage)
    if not all(math.isfinite(one) for one in numbers) or len(reading.confidence_counts) > 64:
        raise errors.InputError(f"{where}: the reading of model {reading.model} holds a number that is not finite")
    if not 0 <= reading.truths <= contract.MAX_READING_TRUTHS or reading.absolute_error < 0 or reading.coverage < 0:
        raise errors.InputError(f"{where}: the reading of model {reading.model} tells truths that cannot be")
    if reading.coverage > 1:
        raise errors.InputError(f"{where}: the reading of model {reading.model} covers more truths than came")
    farthest = input_sketch.FARTHEST * reading.input_rows
    if not 0 <= reading.input_rows <= input_sketch.MAX_ROWS or len(reading.input_sums) > input_sketch.MAX_FEATURES:
        raise errors.InputError(f"{where}: the reading of model {reading.model} tells too much of its inputs")
    if not all(abs(one) <= farthest * 1.001 for one in reading.input_sums):  # NaN is not
        raise errors.InputError(f"{where}: the reading of model {reading.model} sums up inputs that cannot be")
    if len(reading.digest) > MAX_TEXT_CHARS:
        raise errors.TooLargeError(f"{where}: digest in the reading of model {reading.model} is too long")


def _check_warning(warning: edge_pb2.Warning, where: str) -> None:
    names.check("EdgeModel", warning.model)
    if fault := series_stamp.fault(warning.series, warning.series_unix_ms):
        raise errors.InputError(f"{where}: a warning of model {warning.model}: {fault}")
    if not 0 <= warning.since_unix_ms <= series_stamp.MAX_UNIX_MS or len(warning.text) > MAX_REASON_CHARS:
        raise errors.InputError(f"{where}: a warning of model {warning.model} cannot be: its time, or a text too long")


def status(report: fleet_pb2.NodeReport, erased_up_to: int = 0) -> dict[str, Any]:
    """EdgeNode.status as the report says it, but for `lastSeenUnixMs`. `erased_up_to`: the highest number of an erasure
    that any node was told of; more than that cannot have been carried out."""
    runtime = report.runtime
    reason_chars = min(MAX_REASON_CHARS, max(_LEAST_REASON_CHARS, _REASONS_CHARS // max(1, len(report.models))))
    return {
        "connected": True,
        "agentVersion": report.agent_version,
        "bootId": report.boot_id,
        "servingAddress": report.serving_address,
        "erasedUpTo": max(0, min(report.erased_up_to, erased_up_to)) or None,
        "runtime": {
            "arch": runtime.arch,
            "cpuClass": runtime.cpu_class,
            "onnxruntime": runtime.onnxruntime,
            "maxIrVersion": runtime.max_ir_version,
            "maxOpset": runtime.max_opset,
        },
        "models": [_model(model, reason_chars) for model in sorted(report.models, key=lambda one: one.model)],
        "warnings": [_warning(warning) for warning in report.warnings] or None,
    }


def _warning(warning: edge_pb2.Warning) -> dict[str, Any]:
    return {
        "model": warning.model,
        "series": warning.series,
        "sinceUnixMs": warning.since_unix_ms,
        "seriesUnixMs": warning.series_unix_ms,
        "message": warning.text,
    }


def _model(model: fleet_pb2.ModelReport, reason_chars: int) -> dict[str, Any]:
    return {
        "model": model.model,
        "digest": model.digest,
        "version": model.version,
        "targetDigest": model.target_digest,
        "targetRollout": model.target_rollout,
        "targetAttempt": model.target_attempt,
        "targetState": _STATES.get(model.target_state, TargetState.NONE).value,
        "reason": model.reason[:reason_chars],
        "highestPermit": model.highest_permit,
        "permitRequest": model.permit_request,
        "lastKnownGood": model.last_known_good,
    }


def readings_report(report: fleet_pb2.NodeReport) -> bytes:
    """A report of nothing but what `readings` tells: that is what a gateway keeps of each node."""
    kept = fleet_pb2.NodeReport(node=report.node, readings=report.readings)
    if report.HasField("spool"):
        kept.spool.CopyFrom(report.spool)
    return bytes(kept.SerializeToString())


def readings(report: fleet_pb2.NodeReport, now_unix_ms: int, *, connected: bool) -> Mapping[str, str]:
    """Live readings by key: one per model, and the state of the spool."""
    by_key = {}
    for reading in report.readings:
        body = _fields(reading) | {"node": report.node, "atUnixMs": now_unix_ms, "connected": connected}
        by_key[contract.node_reading(report.node, reading.model)] = json.dumps(body)
    if report.HasField("spool"):
        by_key[contract.spool_reading(report.node)] = json.dumps(_fields(report.spool))
    return by_key


def _fields(message: Any) -> dict[str, Any]:
    """All fields by their names in camelCase, also those that are zero; 64-bit integers as JSON numbers."""
    fields: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        repeated = not isinstance(value, str | bytes | int | float)
        fields[field.json_name] = list(value) if repeated else value
    return fields
