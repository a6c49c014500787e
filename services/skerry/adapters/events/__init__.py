"""Events: what people read under `kubectl describe`. Nothing decides by them, and each may be lost."""

from skerry.adapters.events.protocol import Events
from skerry.adapters.events.silent import Silent

__all__ = ["Events", "Silent", "open_events"]


def open_events(objects_url: str, component: str) -> Events:
    """Events about the objects of `objects_url`; where there is no Kubernetes the log alone tells."""
    if not objects_url.startswith("kubernetes://"):
        return Silent()
    from skerry.adapters import kubernetes
    from skerry.adapters.events.kubernetes import KubernetesEvents

    return KubernetesEvents(kubernetes.connect(objects_url), component)
