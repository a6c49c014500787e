"""Everything that an OIP server of skerry answers, as one table of methods for either transport."""

from collections.abc import Iterable
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor

from skerry.proto import health_pb2, open_inference_pb2
from skerry.rpc.methods import Methods
from skerry.serving.health import Health
from skerry.serving.metrics import ServingMetrics
from skerry.serving.predictor import Predictor
from skerry.serving.reflection import Reflection
from skerry.serving.registry import Registry
from skerry.serving.repository_servicer import RepositoryServicer
from skerry.serving.servicer import Servicer


def build_methods(
    predictor: Predictor,
    registry: Registry,
    instruments: ServingMetrics,
    *,
    repository_root: Path | None = None,
    services: Iterable[FileDescriptor] = (),
) -> Methods:
    """`predictor` answers ModelInfer. With `repository_root` callers may load and unload what lies there. `services`
    are files whose services the caller adds to the table itself: reflection and health then know them."""
    added = list(services)
    names = tuple(service.full_name for file in added for service in file.services_by_name.values())
    return {
        **Servicer(predictor, registry, instruments).methods(),
        **RepositoryServicer(registry, repository_root).methods(),
        **Health(registry, names).methods(),
        **Reflection([open_inference_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR, *added]).methods(),
    }
