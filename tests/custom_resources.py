"""Our custom resource definitions and examples as data, and the parsers of core beside them."""

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from skerry.core import audit, erasures, exclusions, join_tokens, specs

ROOT = Path(__file__).parents[1]
CRDS = ROOT / "k8s" / "crds"
EXAMPLES = ROOT / "k8s" / "examples"

Json = dict[str, Any]
_FASTER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PARSERS: Mapping[str, Callable[[str, Json], object]] = {
    "AuditRecord": lambda name, spec: audit.parse(name, spec, {}),
    "EdgeFleet": specs.parse_fleet,
    "EdgeModel": specs.parse_edge_model,
    "EdgeNode": lambda name, spec: specs.parse_node(name, spec, {}),
    "Erasure": erasures.parse,
    "Exclusion": exclusions.parse,
    "JoinToken": lambda name, spec: join_tokens.parse_object(name, spec, {}),
    "ModelRollout": specs.parse_rollout,
    "ModelVersion": specs.parse_model_version,
    "TrainingRun": specs.parse_training_run,
}


def documents(folder: Path) -> list[Json]:
    return [one for path in sorted(folder.glob("*.yaml")) for one in yaml.load_all(path.read_text(), _FASTER)]


def crds() -> dict[str, Json]:
    """By kind."""
    return {one["spec"]["names"]["kind"]: one for one in documents(CRDS)}


def schema(kind: str) -> Json:
    found: Json = crds()[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def example(kind: str) -> Json:
    """The fullest example of a kind: its first."""
    return copy.deepcopy(next(one for one in documents(EXAMPLES) if one["kind"] == kind))


def examples(kind: str) -> list[Json]:
    """The specs of all examples of a kind: fields of tasks that exclude one another stand in examples of their own."""
    return [copy.deepcopy(one["spec"]) for one in documents(EXAMPLES) if one["kind"] == kind]


def with_field(kind: str, path: tuple[str | int, ...], value: object) -> Json | None:
    """The first example of the kind in which that field can be set, with it."""
    specs_with = (put(spec, path, value) for spec in examples(kind))
    return next((spec for spec in specs_with if spec is not None), None)


def leaves(one: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Json]]:
    """Every field of a schema that holds no fields itself; of a list, its first member's."""
    if "properties" in one:
        for name, inner in one["properties"].items():
            yield from leaves(inner, (*path, name))
    elif one.get("type") == "array" and "properties" in one["items"]:
        yield from leaves(one["items"], (*path, 0))
    else:
        yield path, one


def put(spec: Json, path: tuple[str | int, ...], value: object) -> Json | None:
    """`spec` with that field set; None when there is nothing to set it in."""
    made = copy.deepcopy(spec)
    at: Any = made
    for step in path[:-1]:
        try:
            at = at[step]
        except (KeyError, IndexError):
            return None
    at[path[-1]] = value
    return made
