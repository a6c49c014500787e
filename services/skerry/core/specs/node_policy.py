"""What nodes are told of a model's policies: when they may ask the teacher, what they keep, what may leave them.

Agents of the release before know no privacy: they are told an offload policy that is as strict, and keep to that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skerry.core.privacy import OPEN, Keep, Privacy
from skerry.core.specs.model import OffloadSpec, offload_for_nodes, parse_offload
from skerry.core.specs.privacy import parse_privacy


@dataclass(frozen=True, slots=True)
class NodePolicy:
    offload: OffloadSpec
    privacy: Privacy = OPEN


@dataclass(frozen=True, slots=True)
class Told:
    """`offload` is EdgeModel.spec.offload; `policy` holds it and the privacy, where the model names one: then `offload`
    is for agents that know none."""

    offload: Mapping[str, Any]
    policy: Mapping[str, Any] | None = None


def policy_for_nodes(name: str, spec: Mapping[str, Any]) -> Told:
    """Of an EdgeModel.spec. Of the rest of it nothing is asked. Raises InputError."""
    offload, given = offload_for_nodes(name, spec), spec.get("privacy")
    if given is None:
        return Told(offload)
    privacy = parse_privacy(given, name)
    tight = dict(offload)
    if not privacy.may_ask or privacy.redact:
        tight["enabled"] = False
    if not privacy.may_upload or privacy.redact or privacy.keep is not Keep.FULL:
        tight |= {"explorationPermille": 0, "hardPermille": 0}
    return Told(tight, {"offload": offload, "privacy": dict(given)})


def parse_node_policy(document: Mapping[str, Any], model: str) -> NodePolicy:
    """What a node was told: a policy, or the offload policy alone. Raises InputError."""
    if "privacy" not in document:
        return NodePolicy(parse_offload(document, model))
    return NodePolicy(parse_offload(document.get("offload", {}), model), parse_privacy(document["privacy"], model))
