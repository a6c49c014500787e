"""One real API server for the charts: our custom resources from their chart, and stand-ins for kinds of others."""

import json
from collections.abc import Iterator

import apiserver_process
import charts
import pytest

_OTHERS = {
    "cert-manager.io": ("v1", {"Certificate": "certificates", "Issuer": "issuers"}),
    "keda.sh": ("v1alpha1", {"ScaledObject": "scaledobjects", "TriggerAuthentication": "triggerauthentications"}),
    "monitoring.coreos.com": ("v1", {"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"}),
}
_TEXT, _NUMBER = {"type": "string"}, {"type": "integer", "format": "int32"}


def _fields(required: tuple[str, ...] = (), **properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


# The fields of KEDA 2 that the chart uses, by name, type and need: others are refused as unknown.
_REFERENCE = _fields(("name",), apiVersion=_TEXT, kind=_TEXT, name=_TEXT)
_TRIGGER = _fields(
    ("type", "metadata"),
    type=_TEXT,
    metadata={"type": "object", "additionalProperties": _TEXT},
    authenticationRef=_REFERENCE,
)
_SCHEMAS = {
    "ScaledObject": _fields(
        ("scaleTargetRef", "triggers"),
        scaleTargetRef=_REFERENCE,
        minReplicaCount=_NUMBER,
        maxReplicaCount=_NUMBER,
        cooldownPeriod=_NUMBER,
        triggers={"type": "array", "items": _TRIGGER},
    ),
    "TriggerAuthentication": _fields(
        secretTargetRef={
            "type": "array",
            "items": _fields(("parameter", "name", "key"), parameter=_TEXT, name=_TEXT, key=_TEXT),
        }
    ),
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
    """CRDs for objects of others: with the fields of `_SCHEMAS`, or such that take anything."""
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
                    {
                        "name": version,
                        "served": True,
                        "storage": True,
                        "schema": {"openAPIV3Schema": _fields(spec=_SCHEMAS[kind]) if kind in _SCHEMAS else anything},
                    }
                ],
            },
        }
        for group, (version, kinds) in _OTHERS.items()
        for kind, plural in kinds.items()
    ]
