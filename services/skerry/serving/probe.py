"""What the ONNX Runtime of this node can load: the highest IR version and opset, found by trying tiny models.

There is no call to ask for them (microsoft/onnxruntime#20559). The models are written here byte by byte, because the
`onnx` package has no place on a node. Also the class of this CPU, since int8 answers may differ between classes.
"""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skerry.core import errors
from skerry.serving import runtime

_FIRST_IR, _LAST_IR = 3, 64
_FIRST_OPSET, _LAST_OPSET = 7, 128
_FLOAT = 1


@dataclass(frozen=True, slots=True)
class Limits:
    onnxruntime: str
    max_ir_version: int
    max_opset: int


def limits() -> Limits:
    """Takes some milliseconds: ask once per process."""
    ir = _highest(_FIRST_IR, _LAST_IR, lambda version: _loads(tiny_model(version, _FIRST_OPSET)))
    opset = _highest(_FIRST_OPSET, _LAST_OPSET, lambda version: _loads(tiny_model(ir, version)))
    return Limits(runtime.VERSION, ir, opset)


def tiny_model(ir_version: int, opset: int) -> bytes:
    """An ONNX file with one Identity node on one float (onnx.proto: ModelProto, GraphProto, NodeProto)."""
    tensor_type = _field(1, _field(1, _FLOAT) + _field(2, _field(1, _field(1, 1))))
    value = [_field(1, name) + _field(2, tensor_type) for name in (b"x", b"y")]
    node = _field(1, b"x") + _field(2, b"y") + _field(4, b"Identity")
    graph = _field(1, node) + _field(2, b"probe") + _field(11, value[0]) + _field(12, value[1])
    return _field(1, ir_version) + _field(7, graph) + _field(8, _field(1, b"") + _field(2, opset))


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _loads(data: bytes) -> bool:
    try:
        runtime.Session(data, "a probe")
    except errors.IntegrityError:
        return False
    return True


def _highest(low: int, high: int, works: Callable[[int], bool]) -> int:
    """The highest version in low..high that works, `low` taken for granted."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if works(middle) else (low, middle - 1)
    return low


def cpu_class(cpuinfo: Path = Path("/proc/cpuinfo"), machine: str = "") -> str:
    """`x86-vnni`, `x86-avx2`, `x86-old`, `arm-v8.2` (dot product), `arm-v8.0`, else the machine's own name."""
    arch = machine or platform.machine()
    try:
        words = set(cpuinfo.read_text().split())
    except (OSError, UnicodeDecodeError):
        words = set()
    if arch in ("x86_64", "AMD64"):
        vnni = words & {"avx512_vnni", "avx_vnni"}
        return "x86-vnni" if vnni else "x86-avx2" if "avx2" in words else "x86-old"
    if arch in ("aarch64", "arm64"):
        return "arm-v8.2" if "asimddp" in words else "arm-v8.0"
    return arch
