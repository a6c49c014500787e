"""Which pod may open a connection to which, by the NetworkPolicies of Kubernetes: a pure evaluator.

A pod that no policy selects for a direction may do everything in it; one that some select may do what any of them
allows. A connection needs the egress of its source and the ingress of its destination. Addresses outside the cluster
are endpoints without labels, which policies see by `ipBlock` alone. Rules: networking.k8s.io/v1 NetworkPolicySpec.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A pod, or what is outside the cluster (`namespace` empty). `namespace_labels` has its automatic name label."""

    name: str
    address: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)


def allows(
    policies: Sequence[Manifest], source: Endpoint, destination: Endpoint, port: int, protocol: str = "TCP"
) -> bool:
    """May `source` open a connection to `port` of `destination`?"""
    out = _direction(policies, "Egress", source, destination, port, protocol, destination)
    return out and _direction(policies, "Ingress", destination, source, port, protocol, destination)


def _direction(
    policies: Sequence[Manifest],
    direction: str,
    subject: Endpoint,
    peer: Endpoint,
    port: int,
    protocol: str,
    listener: Endpoint,
) -> bool:
    mine = [one for one in policies if _applies(one, direction, subject)]
    if not mine:
        return True
    key, who = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    return any(
        _peer(rule.get(who), one["metadata"]["namespace"], peer) and _port(rule.get("ports"), port, protocol, listener)
        for one in mine
        for rule in one["spec"].get(key) or []
    )


def _applies(policy: Manifest, direction: str, subject: Endpoint) -> bool:
    spec = policy["spec"]
    if policy["metadata"]["namespace"] != subject.namespace or not matches(spec["podSelector"], subject.labels):
        return False
    return direction in (spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])])


def _peer(peers: Sequence[Manifest] | None, namespace: str, peer: Endpoint) -> bool:
    """No list, or an empty one, is everybody."""
    return not peers or any(_is(one, namespace, peer) for one in peers)


def _is(peer: Manifest, namespace: str, who: Endpoint) -> bool:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return _within(who.address, [block["cidr"]]) and not _within(who.address, block.get("except") or [])
    if not who.namespace:
        return False
    if "namespaceSelector" in peer:
        if not matches(peer["namespaceSelector"], who.namespace_labels):
            return False
    elif who.namespace != namespace:
        return False
    return matches(peer.get("podSelector") or {}, who.labels)


def _within(address: str, blocks: Iterable[str]) -> bool:
    here = ipaddress.ip_address(address)
    return any(here in ipaddress.ip_network(block) for block in blocks)


def _port(ports: Sequence[Manifest] | None, port: int, protocol: str, listener: Endpoint) -> bool:
    if not ports:
        return True
    for one in ports:
        if one.get("protocol", "TCP") != protocol:
            continue
        first = one.get("port")
        if isinstance(first, str):
            first = listener.ports.get(first)
            if first is None:
                continue
        if first is None or first <= port <= one.get("endPort", first):
            return True
    return False


def matches(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """A LabelSelector; an empty one matches everything."""
    if not (selector.get("matchLabels") or {}).items() <= labels.items():
        return False
    return all(_expression(one, labels) for one in selector.get("matchExpressions") or [])


def _expression(one: Manifest, labels: Mapping[str, str]) -> bool:
    value, operator = labels.get(one["key"]), one["operator"]
    if operator == "In":
        return value in one["values"]
    if operator == "NotIn":
        return value not in one["values"]
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    raise ValueError(f"unknown operator {operator}")
