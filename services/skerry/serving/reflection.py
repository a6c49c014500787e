"""gRPC server reflection, v1 and v1alpha: which services there are, and the descriptors to call them by."""

from collections.abc import Iterable

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import DecodeError

from skerry.proto import reflection_pb2 as pb
from skerry.rpc.methods import Call, CallError, Kind, Method, Methods, Status

_V1, _V1ALPHA = "grpc.reflection.v1", "grpc.reflection.v1alpha"
_SERVICE = "ServerReflection"


class Reflection:
    """Knows the services of `files` and of reflection itself."""

    def __init__(self, files: Iterable[FileDescriptor]) -> None:
        known = _with_dependencies([*files, pb.DESCRIPTOR])
        self._files = {file.name: file.serialized_pb for file in known}
        self._depends = {file.name: [needed.name for needed in file.dependencies] for file in known}
        self._symbols = {symbol: file.name for file in known for symbol in _symbols(file)}
        self._services = sorted(service.full_name for file in known for service in file.services_by_name.values())
        self._add_alpha()

    def methods(self) -> Methods:
        method = Method(Kind.BIDI, self.answer)
        return {f"/{package}.{_SERVICE}/ServerReflectionInfo": method for package in (_V1, _V1ALPHA)}

    async def answer(self, call: Call) -> None:
        while (data := await call.read()) is not None:
            try:
                request = pb.ServerReflectionRequest.FromString(data)
            except DecodeError as exc:
                raise CallError(Status.INVALID_ARGUMENT, "this is not a ServerReflectionRequest") from exc
            await call.send(self._reply(request).SerializeToString())

    def _reply(self, request: pb.ServerReflectionRequest) -> pb.ServerReflectionResponse:
        reply = pb.ServerReflectionResponse(valid_host=request.host, original_request=request)
        kind = request.WhichOneof("message_request")
        if kind == "list_services":
            for name in self._services:
                reply.list_services_response.service.add(name=name)
        elif kind == "file_by_filename":
            self._file(request.file_by_filename, reply)
        elif kind == "file_containing_symbol":
            self._file(self._symbols.get(request.file_containing_symbol, ""), reply)
        elif kind == "all_extension_numbers_of_type" and request.all_extension_numbers_of_type in self._symbols:
            reply.all_extension_numbers_response.base_type_name = request.all_extension_numbers_of_type
        elif kind is None:
            reply.error_response.error_code = Status.INVALID_ARGUMENT
            reply.error_response.error_message = "the request asks for nothing"
        else:
            _not_found(reply)
        return reply

    def _file(self, name: str, reply: pb.ServerReflectionResponse) -> None:
        """The file, and those it needs, before it."""
        if name not in self._files:
            _not_found(reply)
            return
        names: list[str] = []
        left = [name]
        while left:
            file = left.pop()
            if file not in names:
                names.append(file)
                left += self._depends[file]
        reply.file_descriptor_response.file_descriptor_proto.extend(self._files[file] for file in names)

    def _add_alpha(self) -> None:
        """The older package: the same file under other names."""
        alpha = descriptor_pb2.FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
        alpha.package, alpha.name = _V1ALPHA, alpha.name.replace(".proto", "_v1alpha.proto")
        for field in (field for message in alpha.message_type for field in message.field if field.type_name):
            field.type_name = field.type_name.replace(f".{_V1}.", f".{_V1ALPHA}.")
        for method in alpha.service[0].method:
            method.input_type = method.input_type.replace(f".{_V1}.", f".{_V1ALPHA}.")
            method.output_type = method.output_type.replace(f".{_V1}.", f".{_V1ALPHA}.")
        self._files[alpha.name], self._depends[alpha.name] = alpha.SerializeToString(), []
        for name in (_SERVICE, f"{_SERVICE}.ServerReflectionInfo", *(message.name for message in alpha.message_type)):
            self._symbols[f"{_V1ALPHA}.{name}"] = alpha.name
        self._services = sorted([*self._services, f"{_V1ALPHA}.{_SERVICE}"])


def _not_found(reply: pb.ServerReflectionResponse) -> None:
    reply.error_response.error_code = Status.NOT_FOUND
    reply.error_response.error_message = "not known here"


def _with_dependencies(files: list[FileDescriptor]) -> list[FileDescriptor]:
    known: dict[str, FileDescriptor] = {}
    while files:
        file = files.pop()
        if file.name not in known:
            known[file.name] = file
            files += file.dependencies
    return list(known.values())


def _symbols(file: FileDescriptor) -> Iterable[str]:
    """Full names of services, methods, messages (nested too) and enums."""
    for service in file.services_by_name.values():
        yield service.full_name
        yield from (method.full_name for method in service.methods)
    yield from (enum.full_name for enum in file.enum_types_by_name.values())
    messages = list(file.message_types_by_name.values())
    while messages:
        message = messages.pop()
        yield message.full_name
        yield from (enum.full_name for enum in message.enum_types)
        messages += message.nested_types
