"""Programs in C++, compiled on first use into .cache/bench/built: the load generator, the floor, the C++ gRPC peer.

What they need beside a compiler (headers of ONNX Runtime, gRPC's C++ library) comes from Debian packages that are
unpacked, not installed. What cannot be built is reported and left out: its rows are "not judged".
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import debian

HERE = Path(__file__).parent
_PROTO = HERE.parent / "proto"
_TIMEOUT_S = 600
_GRPC = ("libgrpc++-dev", "libprotobuf-dev", "protobuf-compiler-grpc")


class NotBuiltError(Exception):
    """Says what is missing, for people."""


@dataclass(frozen=True, slots=True)
class Builder:
    """`root` holds what is built and unpacked."""

    root: Path

    def generator(self) -> Path:
        """Raises NotBuiltError."""
        return self._compiled("load", sorted((HERE / "load").glob("*.cpp")), ["-lssl", "-lcrypto"])

    def floor(self) -> Path:
        """Raises NotBuiltError."""
        return self._compiled("raw", [HERE / "peers" / "cpp" / "raw.cpp"], self._onnxruntime())

    def grpc_server(self) -> Path:
        """Raises NotBuiltError."""
        folder = self._unpacked_grpc()
        libraries = folder / "usr/lib" / _triplet()
        stubs = self._stubs(folder)
        flags = [*self._onnxruntime(), f"-I{folder}/usr/include", f"-I{stubs}", f"-L{libraries}"]
        flags += [f"-Wl,-rpath,{libraries}", f"-Wl,-rpath-link,{libraries}"]
        flags += ["-Wl,--disable-new-dtags"]  # so that libraries of libraries are found there too
        # The libraries that these need in turn (abseil's many) are linked as they name them.
        flags += ["-Wl,--copy-dt-needed-entries", "-lgrpc++", "-lgrpc", "-lgpr", "-lprotobuf", "-lpthread"]
        sources = [HERE / "peers" / "cpp" / "server.cpp", *sorted(stubs.glob("*.cc"))]
        return self._compiled("server", sources, flags)

    def _compiled(self, name: str, sources: Sequence[Path], flags: Sequence[str]) -> Path:
        compiler = shutil.which("g++") or shutil.which("clang++")
        if compiler is None:
            raise NotBuiltError("no C++ compiler (g++ or clang++) is installed")
        command = [compiler, "-O2", "-std=c++17", *map(str, sources), *flags]
        parts = [*sources, *(header for source in sources for header in source.parent.glob("*.h*"))]
        key = hashlib.sha256("\n".join(command).encode())
        for part in sorted(set(parts)):
            key.update(part.read_bytes())
        program = self.root / "built" / f"{name}-{key.hexdigest()[:12]}"
        if not program.exists():
            program.parent.mkdir(parents=True, exist_ok=True)
            _run([*command, "-o", f"{program}.new"], f"{name} cannot be compiled")
            Path(f"{program}.new").replace(program)
        return program

    def _onnxruntime(self) -> Sequence[str]:
        """Flags for the headers of Debian trixie and the library of the wheel that Python uses here: the C API is
        stable, so older headers fit a newer library."""
        import onnxruntime

        libraries = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
        if not libraries:
            raise NotBuiltError("the onnxruntime package brings no libonnxruntime.so to link with")
        headers = self._unpack("trixie", "libonnxruntime-dev") / "usr/include/onnxruntime"
        library = self.root / "built" / onnxruntime.__version__ / "libonnxruntime.so.1"  # as programs look for it
        library.parent.mkdir(parents=True, exist_ok=True)
        library.unlink(missing_ok=True)
        library.symlink_to(libraries[-1])
        return [f"-I{headers}", str(library), f"-Wl,-rpath,{library.parent}"]

    def _unpacked_grpc(self) -> Path:
        try:
            apt = debian.Apt(self.root / "deb")
            needed = [package for package in apt.missing(*_GRPC) if not package.startswith(("libssl3", "openssl"))]
            return apt.unpack(*needed, into="grpc")
        except (OSError, subprocess.SubprocessError) as exc:
            raise NotBuiltError(f"gRPC's C++ library cannot be fetched: {_why(exc)}") from exc

    def _unpack(self, suite: str, package: str) -> Path:
        try:
            return debian.Apt(self.root / "deb", suite).unpack(package)
        except (OSError, subprocess.SubprocessError) as exc:
            raise NotBuiltError(f"{package} of Debian {suite} cannot be fetched: {_why(exc)}") from exc

    def _stubs(self, folder: Path) -> Path:
        stubs = self.root / "built" / "stubs"
        stubs.mkdir(parents=True, exist_ok=True)
        library = f"{folder}/usr/lib/{_triplet()}"
        command = [f"{folder}/usr/bin/protoc", f"-I{_PROTO}", f"--cpp_out={stubs}", f"--grpc_out={stubs}"]
        command += [f"--plugin=protoc-gen-grpc={folder}/usr/bin/grpc_cpp_plugin", "open_inference.proto"]
        _run(command, "protoc failed", {**os.environ, "LD_LIBRARY_PATH": library})
        return stubs


def _triplet() -> str:
    return f"{os.uname().machine}-linux-gnu"


def _run(command: Sequence[str], what: str, environment: dict[str, str] | None = None) -> None:
    try:
        subprocess.run(command, check=True, timeout=_TIMEOUT_S, capture_output=True, text=True, env=environment)
    except (OSError, subprocess.SubprocessError) as exc:
        raise NotBuiltError(f"{what}: {_why(exc)}") from exc


def _why(exc: Exception) -> str:
    said = getattr(exc, "stderr", None)
    return (said.strip() if isinstance(said, str) and said.strip() else str(exc))[-400:]
