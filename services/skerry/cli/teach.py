"""`skerry teach`: train the large network that an EdgeModel names as its teacher, and have the teacher serve it."""

import os
import subprocess
import sys
from pathlib import Path

import click

from skerry.cli import output, system_file
from skerry.cli.system.layout import Layout
from skerry.cli.up import state_option
from skerry.core import errors

_LOAD = "/inference.GRPCInferenceService/RepositoryModelLoad"
_LOAD_S = 30.0


@click.command()
@click.argument("model")
@state_option
def teach(model: str, state: Path) -> None:
    """Train MODEL's teacher (EdgeModel.spec.teacher) on its imported dataset and load it into the running teacher.

    Any other Open Inference Protocol v2 server can be the teacher instead: then there is nothing to teach.
    """
    layout = Layout.found(state.absolute())
    system = system_file.read(layout.root)
    environment = {**os.environ, "SKERRY_OBJECTS": system.objects, "SKERRY_BLOBS": system.blobs, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "skerry.trainer.teach", "--model", model, "--out", str(layout.teacher_models)]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise errors.UnavailableError(f"training the teacher of {model} ended with code {done.returncode}; see above")
    load(system.teacher, model)
    output.say(f"the teacher at {system.teacher} serves {model}")


def load(address: str, model: str) -> None:
    """Ask the OIP server at `address` to load what is in its repository. Raises UnavailableError with its words."""
    import grpc

    from skerry.adapters import proxies
    from skerry.proto import open_inference_pb2

    with grpc.insecure_channel(address, proxies.grpc_options(address)) as channel:
        call = channel.unary_unary(
            _LOAD,
            request_serializer=open_inference_pb2.RepositoryModelLoadRequest.SerializeToString,
            response_deserializer=open_inference_pb2.RepositoryModelLoadResponse.FromString,
        )
        try:
            call(open_inference_pb2.RepositoryModelLoadRequest(model_name=model), timeout=_LOAD_S)
        except grpc.RpcError as exc:
            raise errors.UnavailableError(f"the teacher at {address} did not load {model}: {exc.details()}") from exc
