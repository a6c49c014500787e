"""Reading an input from a file, and one call to an agent: what `skerry infer` and `skerry feedback` share."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from skerry.adapters import proxies
from skerry.adapters.objects.protocol import Objects
from skerry.adapters.oip import remote
from skerry.cli import system_file, text_file
from skerry.cli.importing import images, npz
from skerry.core import class_labels, errors, feedback, series_stamp, specs, tasks, tensors
from skerry.core.datasets import Input
from skerry.core.inference import InferReply, InferRequest, Parameter
from skerry.core.series import timestamps
from skerry.proto import edge_pb2

_MAX_JSON_BYTES = 64 << 20
_MAX_DIGITS = 15  # of Unix milliseconds
_FIRST_MS = 100_000_000_000  # 1973; a smaller number is of seconds
_SHOWN = 40
_NO_TIME = "--time {!r} is no time: give 2018-01-31T13:00Z or Unix milliseconds, after 1970"
_FEEDBACK, _WARNINGS = "/skerry.edge.v1.Edge/Feedback", "/skerry.edge.v1.Edge/Warnings"
_REFUSALS: Mapping[grpc.StatusCode, type[errors.SkerryError]] = {
    grpc.StatusCode.UNAUTHENTICATED: errors.UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: errors.ForbiddenError,
    grpc.StatusCode.FAILED_PRECONDITION: errors.RejectedError,
}


def check_file(path: Path) -> None:
    """Raises InputError when it is not there: said before any agent is asked."""
    if not path.is_file():
        raise errors.InputError(f"there is no file {path}")


async def inputs_of(address: str, model: str, timeout_s: float) -> tuple[tensors.Spec, ...]:
    """The inputs of the version that an agent serves. Raises what `RemoteModel.inputs` raises."""
    async with remote.RemoteModel(address) as agent:
        return await agent.inputs(model, timeout_s)


def read(path: Path, first: specs.Input, served: Sequence[tensors.Spec] = ()) -> tuple[tensors.Tensor, ...]:
    """The model's inputs from a file, a batch axis added when it is missing. `first` is what the EdgeModel describes,
    `served` all that the version takes: of several, each is an array of an npz. Raises InputError naming file and
    input."""
    check_file(path)
    if len(served) < 2:
        return (_read_one(path, first),)
    names = ", ".join(spec.name for spec in served)
    if path.suffix.lower() != ".npz":
        raise errors.InputError(f"this model takes {names}: bring an npz with an array for each")
    if missing := {spec.name for spec in served} - npz.read(path).keys():
        raise errors.InputError(f"{path} has no array {min(missing)!r}; this model takes {names}")
    return tuple(_read_one(path, specs.Input(spec.name, spec.datatype, spec.shape)) for spec in served)


def is_squeezed(path: Path, wanted: specs.Input) -> bool:
    """Is this an image whose sides are not as the model's? Scaled to the model's input it is seen out of shape."""
    if path.suffix.lower() in (".npz", ".json"):
        return False
    return images.is_squeezed(path, Input(wanted.name, wanted.datatype, wanted.shape))


def _read_one(path: Path, wanted: specs.Input) -> tensors.Tensor:
    if path.suffix.lower() == ".npz":
        array = _from_npz(path, wanted)
    elif path.suffix.lower() == ".json":
        array = _from_json(path)
    else:
        row = Input(wanted.name, wanted.datatype, wanted.shape)
        array = images.read(path, row, resize=True)
    if array.ndim == len(wanted.shape):
        array = array[None]
    data = _fitting(path, array, wanted)
    return tensors.Tensor(wanted.name, wanted.datatype, data.shape, data)


def _fitting(path: Path, array: NDArray[Any], wanted: specs.Input) -> NDArray[Any]:
    """`array` in the input's datatype. Raises InputError when that would change a value (real numbers may round, but
    not to infinity)."""
    if wanted.datatype == "BYTES":
        return np.ascontiguousarray(array, dtype=tensors.DTYPES["BYTES"])
    if array.dtype.kind not in "biuf":
        raise errors.InputError(f"{path} holds {array.dtype}, not numbers as input {wanted.name!r} takes")
    return np.ascontiguousarray(tensors.cast(array, wanted.datatype, str(path), owner=f"input {wanted.name!r}"))


def _from_npz(path: Path, wanted: specs.Input) -> NDArray[Any]:
    arrays = npz.read(path)
    if wanted.name in arrays:
        return arrays[wanted.name]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    raise errors.InputError(f"{path} has arrays {', '.join(sorted(arrays))}, and none is named {wanted.name!r}")


def _from_json(path: Path) -> NDArray[Any]:
    try:
        return np.asarray(text_file.read_json(path, max_bytes=_MAX_JSON_BYTES))
    except ValueError as exc:
        raise errors.InputError(f"{path} is not nested lists of numbers, each as long as the others: {exc}") from exc


def address_of(system: system_file.Description, node: str) -> str:
    """Where the agent of `node` serves. Raises NotFoundError."""
    for agent in system.agents:
        if agent.node == node:
            return agent.address
    known = ", ".join(agent.node for agent in system.agents)
    raise errors.NotFoundError(f"this system runs no agent {node!r}; it runs {known or 'none'}")


def address_serving(system: system_file.Description, store: Objects, model: str) -> str:
    """An agent that reports `model` as loaded. Raises UnavailableError when none does yet."""
    reporting = {
        node.name
        for node in store.list("EdgeNode")
        if any(report.get("model") == model and report.get("digest") for report in node.status.get("models", []))
    }
    for agent in system.agents:
        if agent.node in reporting:
            return agent.address
    raise errors.UnavailableError(f"no agent serves {model} yet: see `skerry rollout list` and `skerry nodes`")


async def infer(address: str, request: InferRequest, timeout_s: float) -> tuple[InferReply, float]:
    """The reply, and the seconds it took. Raises what `RemoteModel.infer` raises."""
    async with remote.RemoteModel(address) as agent:
        began = time.perf_counter()
        reply = await agent.infer(request, timeout_s)
        return reply, time.perf_counter() - began


def stamp_of(series: str, moment: str) -> dict[str, Parameter]:
    """The parameters that say which series a request is of, and when: Unix ms, or ISO 8601 with its offset from UTC.
    Raises InputError naming the option."""
    told: dict[str, Parameter] = {}
    if series:
        told[series_stamp.SERIES] = series
    if moment:
        told[series_stamp.TIME] = _unix_ms(moment)
    try:
        series_stamp.of(told)
    except errors.InputError as exc:
        raise errors.InputError(f"--series or --time: {exc}") from exc
    return told


def _unix_ms(text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
    if is_number and int(text) < _FIRST_MS:
        raise errors.InputError(f"--time {text} may be seconds: give Unix milliseconds, or 2018-01-31T13:00Z")
    form = timestamps.UNIX_MS if is_number else ""
    try:
        stamps = timestamps.parse(np.array([text]), form, "--time")
    except errors.InputError as exc:  # it speaks of a table's rows, and of options that a table has
        raise errors.InputError(_NO_TIME.format(text[:_SHOWN])) from exc
    if not stamps.has_offset:
        raise errors.InputError(f"--time {text[:_SHOWN]!r} says no offset from UTC: add it, as Z or +01:00")
    if (ms := int(stamps.ms[0])) <= 0:
        raise errors.InputError(_NO_TIME.format(text[:_SHOWN]))
    return ms


def answer_document(reply: InferReply, task: tasks.Task, request_id: str, seconds: float) -> dict[str, Any]:
    """The answer for people and programs: one row per sample of the first output."""
    outputs = np.asarray(reply.outputs[0].data, dtype=np.float64)
    outputs = outputs.reshape(outputs.shape[0], -1)
    parameters = reply.parameters
    return {
        "id": request_id,
        **task.described(outputs),
        "route": parameters.get("skerry_route", ""),
        "reason": parameters.get("skerry_reason", ""),
        "confidence": parameters.get("skerry_confidence", ""),
        "degraded": bool(parameters.get("skerry_degraded", False)),
        "digest": parameters.get("skerry_digest", ""),
        "version": reply.version,
        "token": parameters.get(feedback.PARAMETER, ""),
        "milliseconds": 1e3 * seconds,
    }


def truth_of(texts: Sequence[str], task: tasks.Task) -> tasks.Truth:
    """What a person says was true: of classes a name, else an index; of a forecast a number per step. Raises InputError
    for no class, a number that can mean two, and what is no value."""
    if task.class_names and len(texts) == 1:
        return class_labels.Classes(task.class_names).of_texts(texts)[0]
    try:
        values = tuple(float(text) for text in texts)
    except ValueError as exc:
        raise errors.InputError(f"{' '.join(texts)[:80]!r} is no value, and the model answers {task}") from exc
    if fault := task.truth_fault(values):
        raise errors.InputError(f"{' '.join(texts)[:80]}: {fault}")
    return values


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth of an earlier request, and what lets its caller tell it: the answer's token, or the site's secret. A
    class counts in `label_map`; empty: in that of the version that serves."""

    model: str
    request_id: str
    truth: tasks.Truth
    token: str = ""
    secret: str = ""
    label_map: str = ""


def give_feedback(address: str, truth: Truth, timeout_s: float) -> bool:
    """Tell one agent; whether it had captured that request; one that does not serve the model had not. Raises
    UnavailableError, ForbiddenError (it is not this agent's token, or too old) and UnauthenticatedError (none)."""

    async def call() -> edge_pb2.FeedbackReply:
        async with grpc.aio.insecure_channel(address, proxies.grpc_options(address)) as channel:
            method = channel.unary_unary(
                _FEEDBACK,
                request_serializer=edge_pb2.FeedbackRequest.SerializeToString,
                response_deserializer=edge_pb2.FeedbackReply.FromString,
            )
            request = edge_pb2.FeedbackRequest(model=truth.model, request_id=truth.request_id, token=truth.token)
            if isinstance(truth.truth, int):
                request.label, request.label_map = truth.truth, truth.label_map
            else:
                request.values.extend(truth.truth)
            metadata = [("authorization", f"Bearer {truth.secret}")] if truth.secret else []
            reply: edge_pb2.FeedbackReply = await method(request, timeout=timeout_s, metadata=metadata)
            return reply

    try:
        return asyncio.run(call()).outcome == edge_pb2.FeedbackReply.RECORDED
    except grpc.RpcError as exc:
        if exc.code() is grpc.StatusCode.NOT_FOUND:
            return False
        kind = _REFUSALS.get(exc.code(), errors.UnavailableError)
        raise kind(f"the agent at {address} did not take the feedback: {exc.details()}") from exc


def warnings_of(address: str, timeout_s: float) -> dict[str, Any]:
    """What an agent warns of now. Raises UnavailableError when it does not say so."""

    async def call() -> edge_pb2.WarningList:
        async with grpc.aio.insecure_channel(address, proxies.grpc_options(address)) as channel:
            method = channel.unary_unary(
                _WARNINGS,
                request_serializer=edge_pb2.WarningsRequest.SerializeToString,
                response_deserializer=edge_pb2.WarningList.FromString,
            )
            reply: edge_pb2.WarningList = await method(edge_pb2.WarningsRequest(), timeout=timeout_s)
            return reply

    try:
        told = asyncio.run(call())
    except grpc.RpcError as exc:
        raise errors.UnavailableError(f"the agent at {address} does not say what it warns of: {exc.details()}") from exc
    return {
        "agent": address,
        "startedUnixMs": told.started_unix_ms,
        "raised": told.raised,
        "notKept": told.not_kept,
        "warnings": [
            {
                "model": one.model,
                "series": one.series,
                "sinceUnixMs": one.since_unix_ms,
                "seriesUnixMs": one.series_unix_ms or None,
                "digest": one.digest,
                "message": one.text,
            }
            for one in told.warnings
        ],
    }


def give_feedback_to_any(addresses: Sequence[str], truth: Truth, timeout_s: float) -> bool:
    """Tell one agent after the other until one records it; whether one did. One that refuses it, does not serve the
    model or does not answer ends nothing. Where none records it: raises UnavailableError when one did not answer, who
    may hold the request; else what one refused it for, when none had anything better to say."""
    faults, is_let_in = list[errors.SkerryError](), False
    for address in addresses:
        try:
            if give_feedback(address, truth, timeout_s):
                return True
            is_let_in = True
        except errors.SkerryError as exc:
            faults.append(exc)
    away = [fault for fault in faults if isinstance(fault, errors.UnavailableError)]
    if away or (faults and not is_let_in):
        raise (away or faults)[0]
    return False
