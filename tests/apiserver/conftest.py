"""One real API server with our custom resource definitions for all tests of this folder."""

from collections.abc import Iterator

import custom_resources
import pytest
from apiserver_process import ApiServer, apply_crds, running
from fault_proxy import FaultProxy, in_front_of


@pytest.fixture(scope="session")
def server() -> Iterator[ApiServer]:
    with running() as made:
        apply_crds(made, custom_resources.CRDS)
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
