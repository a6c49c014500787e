"""How a training job runs: labels, node selection, tolerations, resources, workers, queue. Kubernetes' own words.

The same fields stand in EdgeModel.spec.retrain.template and in TrainingRun.spec.template. On one machine only
`workers` means anything.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from skerry.core.specs.reader import Reader

MAX_WORKERS = 64
MAX_ENTRIES = 64
MAX_TOLERATION_S = 30 * 86_400
OPERATORS = ("Equal", "Exists")
EFFECTS = ("", "NoSchedule", "PreferNoSchedule", "NoExecute")
# What the controller and Kubernetes write on jobs and pods themselves.
RESERVED = ("skerry.dev/", "app.kubernetes.io/", "batch.kubernetes.io/", "kueue.x-k8s.io/queue-name")

_PREFIX = r"(?=.{1,253}/)[a-z0-9]([a-z0-9.-]*[a-z0-9])?/"
_KEY = re.compile(rf"({_PREFIX})?[A-Za-z0-9]([A-Za-z0-9_.-]{{0,61}}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_QUANTITY = re.compile(r"([0-9]{1,15}(\.[0-9]{0,9})?|\.[0-9]{1,9})([KMGTPE]i|[munkMGTPE]|[eE][0-9]{1,2})?")
_QUEUE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Toleration:
    """`seconds`: how long a pod stays where `NoExecute` appears; None: for ever. An empty key with `Exists` tolerates
    everything."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class JobTemplate:
    """`requests` and `limits` are quantities as Kubernetes writes them, by resource. `workers` > 1: as many processes
    that train together. `queue`: the Kueue queue that says when the job may begin; empty: at once."""

    labels: Mapping[str, str] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    queue: str = ""


def template_fields(reader: Reader) -> JobTemplate:
    """Raises InputError naming the field."""
    queue = reader.text("queue", "", limit=63)
    if queue and not _QUEUE.fullmatch(queue):
        raise reader.fault("queue", f"must be the name of a queue (small letters, digits, '-'), not {queue!r}")
    requests, limits = reader.inner("resources", _resources)
    return JobTemplate(
        labels=_labels(reader, "labels", RESERVED),
        node_selector=_labels(reader, "nodeSelector"),
        tolerations=reader.each("tolerations", _toleration, limit=MAX_ENTRIES),
        requests=requests,
        limits=limits,
        workers=reader.integer("workers", 1, 1, MAX_WORKERS),
        queue=queue,
    )


def _labels(reader: Reader, name: str, reserved: tuple[str, ...] = ()) -> dict[str, str]:
    labels = _texts(reader, name)
    for key, value in labels.items():
        if key.startswith(reserved):
            hint = "set spec.template.queue" if "queue" in key else "choose another prefix"
            raise reader.fault(name, f"may not set {key!r}, which the controller writes itself: {hint}")
        if not _KEY.fullmatch(key):
            raise reader.fault(name, f'must have keys like "tier" or "example.com/tier", not {key[:80]!r}')
        if not _VALUE.fullmatch(value):
            raise reader.fault(name, f"[{key}] must be at most 63 letters, digits, '-', '_', '.', not {value[:80]!r}")
    return labels


def _toleration(reader: Reader) -> Toleration:
    key = reader.text("key", "", limit=317)
    operator = reader.text("operator", "Equal", among=OPERATORS)
    value = reader.text("value", "", limit=63)
    if key and not _KEY.fullmatch(key):
        raise reader.fault("key", f'must be like "nvidia.com/gpu", not {key[:80]!r}')
    if not key and operator != "Exists":
        raise reader.fault("key", 'is missing: only operator "Exists" goes without one')
    if value and operator == "Exists":
        raise reader.fault("value", 'has no meaning with operator "Exists"')
    if not _VALUE.fullmatch(value):
        raise reader.fault("value", f"must be at most 63 letters, digits, '-', '_', '.', not {value!r}")
    effect = reader.text("effect", "", among=EFFECTS)
    seconds = reader.integer("tolerationSeconds", 0, 0, MAX_TOLERATION_S) if reader.has("tolerationSeconds") else None
    if seconds is not None and effect != "NoExecute":
        raise reader.fault("tolerationSeconds", 'goes with effect "NoExecute" only')
    return Toleration(key, operator, value, effect, seconds)


def _resources(reader: Reader) -> tuple[dict[str, str], dict[str, str]]:
    return _quantities(reader, "requests"), _quantities(reader, "limits")


def _quantities(reader: Reader, name: str) -> dict[str, str]:
    quantities = _texts(reader, name)
    for resource, amount in quantities.items():
        if not _KEY.fullmatch(resource):
            raise reader.fault(name, f'must name resources like "cpu" or "nvidia.com/gpu", not {resource[:80]!r}')
        if not _QUANTITY.fullmatch(amount):
            raise reader.fault(name, f'[{resource}] must be a quantity like "2", "500m" or "4Gi", not {amount[:80]!r}')
    return quantities


def _texts(reader: Reader, name: str) -> dict[str, str]:
    texts = dict(reader.mapping(name, {}))
    if len(texts) > MAX_ENTRIES:
        raise reader.fault(name, f"has {len(texts)} entries, at most {MAX_ENTRIES} are taken")
    for key, value in texts.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise reader.fault(name, f'must hold texts ("2", not 2): [{str(key)[:80]}] is {str(value)[:80]}')
    return texts
