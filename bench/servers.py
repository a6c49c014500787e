"""The servers that are compared: how each is started, and how it is asked. Settings are the best that each documents.

A launch serves one thing: a model or the echo, in clear or over TLS; so its memory is that of the one thing.
"""

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import build, environments
from bench.certificates import Pair
from bench.models import Model

OIP = "/inference.GRPCInferenceService/ModelInfer"
REPOSITORY = Path(__file__).parent.parent
REQUIREMENTS: Mapping[str, Sequence[str]] = {
    "mlserver": ("mlserver==1.7.1", "onnxruntime==1.32.0"),
    "kserve": ("kserve==0.21.0", "onnxruntime==1.32.0"),
    "litserve": ("litserve==0.2.19", "onnxruntime==1.32.0"),
    "bentoml": ("bentoml==1.4.40", "onnxruntime==1.32.0"),
}
_PEERS = Path(__file__).parent / "peers"


class NotAvailableError(Exception):
    """Why this server cannot be measured here, for people."""


@dataclass(frozen=True, slots=True)
class Launch:
    """`requests` names the form of a request: `oip`, `base64` or `echo`."""

    command: Sequence[str]
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    path: str = OIP
    content_type: str = "application/grpc"
    http1: bool = False
    headers: Sequence[str] = ()
    requests: str = "oip"
    reply_sizes: int = 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a launch shall serve. `model` is None for the echo; `models` the folder of all models."""

    port: int
    kind: str
    model: Model | None
    models: Path
    tls: Pair | None


@dataclass(frozen=True, slots=True)
class World:
    """What launches are made from: where things are built, and a folder for what they write."""

    builder: build.Builder
    environments: environments.Environments
    scratch: Path


Make = Callable[[Wanted, World], Launch]


def _peer(module: str, wanted: Wanted, *first: str) -> Launch:
    """A program of ours in our own environment."""
    command = [sys.executable, "-m", f"bench.peers.{module}", *first, *_arguments(wanted)]
    return Launch(command, wanted.port, _python(), requests="oip" if wanted.model else "echo")


def _arguments(wanted: Wanted) -> list[str]:
    model = str(wanted.model.onnx) if wanted.model else "-"
    tls = [str(wanted.tls.certificate), str(wanted.tls.key)] if wanted.tls else []
    return [str(wanted.port), wanted.kind, model, *tls]


def _python() -> dict[str, str]:
    return {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'services'}"}


def _skerry(transport: str) -> Make:
    def make(wanted: Wanted, world: World) -> Launch:
        if wanted.model is None or wanted.tls is not None:
            return _peer("skerry_transport", wanted, transport)
        only = world.scratch / f"only-{wanted.kind}"
        only.mkdir(exist_ok=True)
        link = only / wanted.kind
        if not link.exists():
            link.symlink_to(wanted.models / wanted.kind)
        environment = {
            "SKERRY_MODELS": str(only),
            "SKERRY_LISTEN": f"127.0.0.1:{wanted.port}",
            "SKERRY_TRANSPORT": transport,
        }
        return Launch([sys.executable, "-m", "skerry.teacher.main"], wanted.port, _python() | environment)

    return make


def _agent(wanted: Wanted, world: World) -> Launch:
    return dataclasses.replace(_peer("skerry_agent", wanted), reply_sizes=2)  # with a feedback token, and without


def _plain(module: str) -> Make:
    return lambda wanted, world: _peer(module, wanted)


def _in_environment(name: str, **asked: object) -> Make:
    """A program of ours in the peer's own environment."""

    def make(wanted: Wanted, world: World) -> Launch:
        try:
            python = world.environments.python(name, REQUIREMENTS[name])
        except (OSError, subprocess.SubprocessError) as exc:
            said = getattr(exc, "stderr", "") or str(exc)
            raise NotAvailableError(f"its environment cannot be made: {said.strip()[-300:]}") from exc
        command = [str(python), str(_PEERS / f"{name}_server.py"), *_arguments(wanted)]
        return Launch(command, wanted.port, **asked)  # type: ignore[arg-type]  # the fields of a Launch

    return make


def _cpp(wanted: Wanted, world: World) -> Launch:
    try:
        program = world.builder.grpc_server()
    except build.NotBuiltError as exc:
        raise NotAvailableError(str(exc)) from exc
    return Launch([str(program), *_arguments(wanted)], wanted.port)


_HTTP = {"path": "/predict", "http1": True, "content_type": "application/json", "requests": "base64"}

SERVERS: Mapping[str, Make] = {
    "skerry": _skerry("h2"),
    "skerry-grpcio": _skerry("grpcio"),
    "skerry-agent": _agent,
    "cpp-grpc": _cpp,
    "grpc-aio": _plain("grpc_aio"),
    "grpc-sync": _plain("grpc_sync"),
    "least": _plain("least"),
    "mlserver": _in_environment("mlserver"),
    "kserve": _in_environment("kserve"),
    "litserve": _in_environment("litserve", **_HTTP),
    "bentoml": _in_environment("bentoml", **_HTTP),
}


def prepare(names: Sequence[str], world: World, say: Callable[[str], None]) -> None:
    """Make what takes minutes and is kept, before anything is measured; what fails is reported when it is started."""
    for name in names:
        if name in REQUIREMENTS:
            say(f"environment of {name}")
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                world.environments.python(name, REQUIREMENTS[name])
        if name == "cpp-grpc":
            say("C++ gRPC peer")
            with contextlib.suppress(build.NotBuiltError):
                world.builder.grpc_server()


def versions(names: Sequence[str]) -> dict[str, str]:
    """Of the peers that have environments of their own."""
    return {name: REQUIREMENTS[name][0].partition("==")[2] for name in names if name in REQUIREMENTS}
