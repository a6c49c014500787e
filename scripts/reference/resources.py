"""The page of custom resources: the schemas of k8s/crds, and the defaults that core fills in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import markdown
import yaml

from skerry.core import audit, erasures, exclusions, join_tokens, specs
from skerry.core.specs import reader

ROOT = Path(__file__).parents[2]
Json = dict[str, Any]
_TYPES = {"integer": "whole number", "string": "text", "boolean": "true or false"}
PARSERS = {
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


def page() -> str:
    examples = _documents("k8s/examples")
    parts = []
    for crd in _documents("k8s/crds"):
        kind = crd["spec"]["names"]["kind"]
        example = next(one for one in examples if one["kind"] == kind)
        parts.append("\n".join(_section(crd, _defaults(kind, example["spec"]))))
    return "\n".join(parts)


def _section(crd: Json, defaults: Mapping[str, str]) -> Iterator[str]:
    names, version = crd["spec"]["names"], crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    yield f"## {names['kind']}\n"
    yield f"{markdown.sentence(schema['description'])} Short name `{names['shortNames'][0]}`.\n"
    for part in ("spec", "status"):
        rows = list(_rows(schema["properties"][part], part, defaults))
        if rows:
            yield f"### {names['kind']}.{part}\n"
            yield markdown.table(("field", "type", "default", "meaning"), rows)
        if rules := list(_rules(schema["properties"][part], part)):
            yield "Refused with these words:\n"
            yield "\n".join(f"- {rule}" for rule in rules) + "\n"


def _rows(schema: Json, path: str, defaults: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """Every field below, a field before its own fields."""
    for name, one in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        required = name in schema.get("required", ())
        default = "required" if required else _default(one, defaults.get(here, ""))
        yield f"`{here.partition('.')[2]}`", _type(one), default, _meaning(one)
        inner, suffix = (one["items"], "[]") if one.get("type") == "array" else (one, "")
        if name != "conditions":
            yield from _rows(inner, here + suffix, defaults)


def _type(one: Json) -> str:
    if one.get("x-kubernetes-int-or-string"):
        return "count or percentage"
    if one.get("type") == "array":
        return f"list of {_type(one['items'])}"
    if "additionalProperties" in one:
        return f"map of {_type(one['additionalProperties'])}"
    return str(_TYPES.get(one.get("type", ""), one.get("type", "")))


def _default(one: Json, found: str) -> str:
    if "default" in one:
        return markdown.code(_plain(one["default"]))
    return markdown.code(found)


def _meaning(one: Json) -> str:
    said = [markdown.sentence(one.get("description", ""))]
    inner = one["items"] if one.get("type") == "array" else one
    if values := [value for value in inner.get("enum", ()) if value]:
        said.append(f"One of {', '.join(f'`{value}`' for value in values)}.")
    if one.get("type") == "integer" and ("minimum" in one or "maximum" in one):
        low, high = one.get("minimum"), one.get("maximum")
        said.append(f"{low} to {high}." if low is not None and high is not None else f"At least {low}.")
    return " ".join(text for text in said if text)


def _rules(schema: Json, path: str) -> Iterator[str]:
    """What is refused at `path` and below, and the words it is refused with."""
    yield from (f"`{path}`: {rule['message']}" for rule in schema.get("x-kubernetes-validations", ()))
    for name, one in schema.get("properties", {}).items():
        yield from _rules(one, f"{path}.{name}")
    if schema.get("type") == "array":
        yield from _rules(schema["items"], f"{path}[]")


def _documents(folder: str) -> list[Json]:
    return [one for path in sorted((ROOT / folder).glob("*.yaml")) for one in yaml.safe_load_all(path.read_text())]


def _defaults(kind: str, spec: Json) -> dict[str, str]:
    """By path: what core takes for a field that is not given. Learnt by parsing an object that has every field."""
    with _recorded() as found:
        PARSERS[kind]("example", spec)
    return found


@contextmanager
def _recorded() -> Iterator[dict[str, str]]:
    found: dict[str, str] = {}

    def spy(method: Any) -> Any:
        def asked(self: Any, field: str, default: Any = None, *rest: Any, **named: Any) -> Any:
            where = ".".join((self._path.replace("[0]", "[]"), field))
            if default is not None and "[" not in where.replace("[]", ""):
                found[where] = _plain(default)
            return method(self, field, default, *rest, **named)

        return asked

    names = ("integer", "number", "text", "name", "flag", "amount")
    with mock.patch.multiple(reader.Reader, **{name: spy(getattr(reader.Reader, name)) for name in names}):
        yield found


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
