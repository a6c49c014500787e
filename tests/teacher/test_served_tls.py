"""The teacher's second listener: nodes of the fleet get through with their certificate, nobody else."""

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import models
import numpy as np
import pytest
import selection
import teacher_process

from skerry.adapters import pki
from skerry.adapters.oip.remote import RemoteModel
from skerry.core import errors
from skerry.core.inference import InferRequest
from skerry.core.tensors import Tensor

NOW = datetime.now(UTC)
REQUEST = InferRequest("digits", (Tensor.of("x", np.ones((1, 4), dtype=np.float32)),), id="r")


def credentials(folder: Path, ca: pki.Pair, believed: pki.Pair) -> grpc.ChannelCredentials:
    """Of a node that `ca` has certified, and that believes the servers of `believed`."""
    folder.mkdir()
    (folder / "ca.crt").write_bytes(ca.certificate)
    (folder / "ca.key").write_bytes(ca.key)
    key = pki.make_key()
    uri = "spiffe://skerry.local/tenant/default/node/edge-1"
    made = pki.Authority(folder).issue(pki.make_request(key), uri, timedelta(days=1), now=NOW)
    return grpc.ssl_channel_credentials(believed.certificate, key, made)


@pytest.mark.parametrize("transport", selection.TRANSPORTS)
async def test_nodes_of_the_fleet_get_through_and_nobody_else(tmp_path: Path, transport: str) -> None:
    models.write_linear(tmp_path / "models", "digits", 1)
    ours, theirs = pki.make_ca("ours", now=NOW), pki.make_ca("theirs", now=NOW)
    server = pki.make_server_certificate(ours, ["127.0.0.1"], now=NOW)
    for name, data in (("tls.crt", server.certificate), ("tls.key", server.key), ("ca.crt", ours.certificate)):
        (tmp_path / name).write_bytes(data)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {
        "SKERRY_TLS_LISTEN": address,
        "SKERRY_TLS_CERT": str(tmp_path / "tls.crt"),
        "SKERRY_TLS_KEY": str(tmp_path / "tls.key"),
        "SKERRY_CLIENT_CA": str(tmp_path / "ca.crt"),
        "SKERRY_MEMBERS": "any",
    }
    with teacher_process.started(tmp_path / "models", transport, **settings) as started:
        started.wait_ready()
        mine = credentials(tmp_path / "mine", ours, ours)
        async with RemoteModel(address, credentials=lambda: mine) as remote:
            assert (await remote.infer(REQUEST, 10.0)).model == "digits"
            remote.renewed()
            assert (await remote.infer(REQUEST, 10.0)).model == "digits"
        foreign = credentials(tmp_path / "foreign", theirs, ours)
        for caller in (foreign, grpc.ssl_channel_credentials(ours.certificate)):
            async with RemoteModel(address, credentials=lambda caller=caller: caller) as remote:
                with pytest.raises(errors.UnavailableError):
                    await remote.infer(REQUEST, 3.0)


def test_the_listener_wants_all_its_files() -> None:
    from skerry.teacher import settings

    with pytest.raises(errors.InputError, match="SKERRY_CLIENT_CA"):
        settings.read(
            {"SKERRY_MODELS": "x", "SKERRY_TLS_LISTEN": "0.0.0.0:1", "SKERRY_TLS_CERT": "a", "SKERRY_TLS_KEY": "b"}
        )


@pytest.mark.parametrize("members", ["", "http://gateway:8446/members", "none"])
def test_the_listener_wants_to_be_told_whom_to_let_in(members: str) -> None:
    from skerry.teacher import settings

    files = dict.fromkeys(("SKERRY_TLS_CERT", "SKERRY_TLS_KEY", "SKERRY_CLIENT_CA"), "file")
    with pytest.raises(errors.InputError, match="SKERRY_MEMBERS"):
        settings.read({"SKERRY_MODELS": "x", "SKERRY_TLS_LISTEN": "0.0.0.0:1", "SKERRY_MEMBERS": members, **files})
