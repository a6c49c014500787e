"""One real API server for the charts: our custom resources from their chart, and stand-ins for kinds of others."""

import json
from collections.abc import Iterator

import apiserver_process
import charts
import pytest

_OTHERS = {
    "cert-manager.io": ("v1", {"Certificate": "certificates", "Issuer": "issuers"}),
    "monitoring.coreos.com": ("v1", {"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"}),
}


@pytest.fixture(scope="session")
def cluster() -> Iterator[apiserver_process.ApiServer]:
    """With the chart skerry-crds applied."""
    done = charts.template("skerry-crds", {})
    assert done.returncode == 0, done.stderr
    with apiserver_process.running() as server:
        server.kubectl("apply", "-f", "-", stdin=done.stdout)
        server.kubectl(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": _stand_ins()})
        )
        server.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield server


def _stand_ins() -> list[dict[str, object]]:
    """CRDs that take anything, for objects whose own schema is not ours to test."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
                "versions": [
                    {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
                ],
            },
        }
        for group, (version, kinds) in _OTHERS.items()
        for kind, plural in kinds.items()
    ]
