"""Custom resources as frozen values, parsed from their camelCase JSON (docs/reference/resources.md) with safe defaults.

Every wrong type, range or name raises InputError that says which object, which field, and what would be right.
Nothing here decides: policies live in `offload`, `retrain`, `gates`, `evidence` and `rollout`.
"""

from skerry.core.specs.fleet import (
    Assignment,
    EdgeFleet,
    EdgeNode,
    Lease,
    ModelReport,
    PermitGrant,
    TargetState,
    assignment_json,
    fleet_missing,
    parse_fleet,
    parse_node,
)
from skerry.core.specs.model import (
    EdgeModel,
    Input,
    Network,
    OffloadSpec,
    RetrainSpec,
    offload_for_nodes,
    parse_edge_model,
    parse_offload,
    parse_retrain,
    parse_task,
)
from skerry.core.specs.node_policy import NodePolicy, parse_node_policy, policy_for_nodes
from skerry.core.specs.privacy import parse_floor
from skerry.core.specs.reader import Amount
from skerry.core.specs.strategy import Analysis, ModelRollout, RolloutStrategy, WaveSpec, parse_rollout
from skerry.core.specs.template import JobTemplate, Toleration
from skerry.core.specs.versions import ModelVersion, TrainingRun, parse_model_version, parse_training_run
from skerry.core.specs.warn import parse_warn, warn_for_nodes

__all__ = [
    "Amount",
    "Analysis",
    "Assignment",
    "EdgeFleet",
    "EdgeModel",
    "EdgeNode",
    "Input",
    "JobTemplate",
    "Lease",
    "ModelReport",
    "ModelRollout",
    "ModelVersion",
    "Network",
    "NodePolicy",
    "OffloadSpec",
    "PermitGrant",
    "RetrainSpec",
    "RolloutStrategy",
    "TargetState",
    "Toleration",
    "TrainingRun",
    "WaveSpec",
    "assignment_json",
    "fleet_missing",
    "offload_for_nodes",
    "parse_edge_model",
    "parse_fleet",
    "parse_floor",
    "parse_model_version",
    "parse_node",
    "parse_node_policy",
    "parse_offload",
    "parse_retrain",
    "parse_rollout",
    "parse_task",
    "parse_training_run",
    "parse_warn",
    "policy_for_nodes",
    "warn_for_nodes",
]
