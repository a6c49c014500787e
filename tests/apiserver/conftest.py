"""One real API server with our custom resource definitions for all tests of this folder; a place for training jobs, on
its twin too."""

from collections.abc import Iterator

import custom_resources
import pytest
from apiserver_process import ApiServer, apply_crds, requires_apiserver, running
from fault_proxy import FaultProxy, in_front_of
from training_place import Place


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


@pytest.fixture(params=["apiserver_in_memory", pytest.param("permissive_apiserver", marks=requires_apiserver)])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Where training jobs go."""
    made = Place(request.getfixturevalue(request.param))
    yield made
    made.api.close()


@pytest.fixture
def real_place(permissive_apiserver: ApiServer) -> Iterator[Place]:
    """The same for what only a real API server knows: profiles, quotas, rights, what is valid."""
    made = Place(permissive_apiserver)
    yield made
    made.api.close()
