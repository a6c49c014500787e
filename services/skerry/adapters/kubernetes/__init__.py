"""The Kubernetes API as skerry uses it: JSON by path, watches that cannot fall silent, events. Knows no resource."""

from skerry.adapters.kubernetes.api import Api, connect

__all__ = ["Api", "connect"]
