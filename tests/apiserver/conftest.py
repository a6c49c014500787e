"""One real API server with our custom resource definitions for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from apiserver_process import ApiServer, running
from fault_proxy import FaultProxy, in_front_of

CRDS = Path(__file__).parents[2] / "k8s" / "crds"


@pytest.fixture(scope="session")
def server() -> Iterator[ApiServer]:
    with running() as made:
        made.kubectl("apply", "-f", str(CRDS))
        made.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield made


@pytest.fixture
def namespace(server: ApiServer) -> str:
    return server.namespace()


@pytest.fixture
def proxy(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """KUBECONFIG leads through it."""
    with in_front_of(server) as made:
        monkeypatch.setenv("KUBECONFIG", str(made.kubeconfig))
        yield made
