"""The machine and the versions, as a reader of the figures must know them."""

import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.processes import Cores

_VECTOR = re.compile(r"\b(?:avx\w*|amx\w*|fma|sse4_2|asimd\w*|sve\w*|i8mm|bf16)\b")


def describe(cores: Cores) -> dict[str, Any]:
    text = Path("/proc/cpuinfo").read_text(errors="replace")
    return {
        "cpu": _field(text, "model name") or _field(text, "CPU part") or platform.machine(),
        "flags": sorted(set(_VECTOR.findall(_field(text, "flags") or _field(text, "Features")))),
        "cores": os.cpu_count(),
        "server_core": cores.server,
        "client_core": cores.client,
        "arch": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "load_average": os.getloadavg(),
    }


def versions() -> dict[str, str]:
    packages = ("skerry", "onnxruntime", "grpcio", "protobuf", "numpy", "uvloop", "hpack")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}


def _field(text: str, name: str) -> str:
    match = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    return match.group(1).strip() if match else ""
