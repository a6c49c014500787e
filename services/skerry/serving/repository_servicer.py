"""The repository calls of the protocol (index, load, unload) on a folder of versions.

An edge agent serves only the index: what it loads is signed and assigned by the cloud, so a caller may not choose.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from skerry.adapters.oip import request_bounds
from skerry.core import errors
from skerry.proto import open_inference_pb2 as pb
from skerry.rpc import grpc_status
from skerry.rpc.methods import Call, CallError, Kind, Method, Methods, Status
from skerry.serving import repository
from skerry.serving.registry import READY, UNAVAILABLE, Registry, Row
from skerry.serving.servicer import SERVICE

T = TypeVar("T", pb.RepositoryIndexRequest, pb.RepositoryModelLoadRequest, pb.RepositoryModelUnloadRequest)


class RepositoryServicer:
    """`root` None: load and unload are refused."""

    def __init__(self, registry: Registry, root: Path | None) -> None:
        self._registry, self._root = registry, root

    def methods(self) -> Methods:
        return {
            f"/{SERVICE}/RepositoryIndex": Method(Kind.UNARY, self.index),
            f"/{SERVICE}/RepositoryModelLoad": Method(Kind.UNARY, self.load),
            f"/{SERVICE}/RepositoryModelUnload": Method(Kind.UNARY, self.unload),
        }

    async def index(self, call: Call, data: bytes) -> bytes:
        request = _parse(pb.RepositoryIndexRequest, data)
        reply = pb.RepositoryIndexResponse()
        try:
            rows = [*self._registry.index(), *self._on_disk()]
        except errors.SkerryError as exc:
            raise grpc_status.call_error(exc) from exc
        for row in rows:
            if not request.ready or row.state == READY:
                reply.models.add(name=row.model, version=row.version, state=row.state, reason=row.reason[:500])
        return reply.SerializeToString()

    async def load(self, call: Call, data: bytes) -> bytes:
        """The latest version, or the one in parameter `version`, which is loaded beside and stays addressable."""
        request = _parse(pb.RepositoryModelLoadRequest, data)
        try:
            root = self._writable_root()
            listing = repository.scan_model(root, request.model_name)
            asked = _version(_parameters(request.parameters, {"version"}))
            number = asked or listing.latest
            if number is None or number not in listing.versions:
                raise errors.NotFoundError(f"version {number or 'any'} of {request.model_name!r} is not in {root}")
            if asked is None:
                await self._registry.swap(request.model_name, number, listing.versions[number])
            else:
                await self._registry.load(request.model_name, number, listing.versions[number], keep=True)
        except errors.SkerryError as exc:
            raise grpc_status.call_error(exc) from exc
        return pb.RepositoryModelLoadResponse().SerializeToString()

    async def unload(self, call: Call, data: bytes) -> bytes:
        request = _parse(pb.RepositoryModelUnloadRequest, data)
        try:
            self._writable_root()
            _parameters(request.parameters, {"unload_dependents"})
            self._registry.unload(request.model_name)
        except errors.SkerryError as exc:
            raise grpc_status.call_error(exc) from exc
        return pb.RepositoryModelUnloadResponse().SerializeToString()

    def _writable_root(self) -> Path:
        if self._root is None:
            raise errors.RejectedError("this node serves what the cloud assigns; models are not loaded by callers")
        return self._root

    def _on_disk(self) -> list[Row]:
        """What lies in the repository and is not in memory, odd folders with the reason."""
        if self._root is None:
            return []
        there = {(row.model, row.version) for row in self._registry.index()}
        rows = []
        for listing in repository.scan(self._root):
            rows += [Row(listing.model, str(number), UNAVAILABLE, "not loaded") for number in listing.versions]
            rows += [
                Row(listing.model, name, UNAVAILABLE, f"not a version: {why}") for name, why in listing.odd.items()
            ]
        return [row for row in rows if (row.model, row.version) not in there]


def _parameters(given: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    if unknown := given.keys() - known:
        raise errors.UnsupportedError(f"parameter {min(unknown)[:80]!r} is not supported; known: {', '.join(known)}")
    return {
        name: getattr(parameter, str(parameter.WhichOneof("parameter_choice") or "string_param"))
        for name, parameter in given.items()
    }


def _version(parameters: Mapping[str, Any]) -> int | None:
    value = parameters.get("version")
    if value is None:
        return None
    if not str(value).isdecimal() or len(str(value)) > 15 or isinstance(value, bool | bytes):
        raise errors.InputError(f"parameter version must be a whole number, not {str(value)[:40]!r}")
    return int(value)


def _parse(kind: type[T], data: bytes) -> T:
    try:
        request_bounds.check_small(data, f"a {kind.DESCRIPTOR.name}")
        return kind.FromString(data)
    except errors.TooLargeError as exc:
        raise grpc_status.call_error(exc) from exc
    except DecodeError as exc:
        raise CallError(Status.INVALID_ARGUMENT, f"this is not a {kind.DESCRIPTOR.name}") from exc
