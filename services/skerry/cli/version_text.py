"""`skerry versions show` for people."""

from collections.abc import Mapping
from typing import Any

from skerry.cli import output

_NODES_SHOWN = 40


def show(told: Mapping[str, Any]) -> None:
    kept = told["compression"]
    origin = f"run {told['run']}" if told["run"] else str(told["source"]).lower()
    available = told["available"]
    output.say(
        f"{told['name']}: version {told['version']} of {told['model']}, {origin}, {output.short(told['digest'])}"
    )
    output.say(f"published: {available['message'] or available['status']}")
    output.say(f"dataset: {told['dataset'] or output.DASH}")
    output.say(f"compression: {kept['reason']}")
    _sizes(kept)
    _tried(kept)
    _nodes(kept)
    _per_class(told["perClass"])
    _gates(told["gates"])
    for one in told["signatures"]:
        keys = output.DASH if one["keys"] is None else ", ".join(key[:12] for key in one["keys"])
        output.say(f"signed by role {one['role']}, keys {keys} ({one['note']})")
    for text in told["unknown"]:
        output.say(f"not known: {text}")


def _sizes(kept: Mapping[str, Any]) -> None:
    parts = [
        f"{name} {_bytes(kept[key])}"
        for name, key in (
            ("network", "networkBytes"),
            ("golden set", "goldenBytes"),
            ("manifest", "manifestBytes"),
            ("together, as a node downloads it,", "wireBytes"),
            ("network before compression", "floatBytes"),
        )
        if kept[key] is not None
    ]
    if parts:
        output.say(f"sizes in bytes: {'; '.join(parts)}")


def _tried(kept: Mapping[str, Any]) -> None:
    if not kept["tried"]:
        return
    measure = "loss" if any("loss" in one for one in kept["tried"]) else "accuracy"
    output.print_table(
        "tried",
        ["scheme", "bytes", measure, "µs a row", "passed", "reason"],
        (
            [
                one["scheme"],
                _bytes(one["bytes"]),
                output.DASH if one.get(measure) is None else f"{one[measure]:.4f}",
                output.DASH if one["latency_us"] is None else f"{one['latency_us']:.0f}",
                "yes" if one["passed"] else "no",
                one["reason"],
            ]
            for one in kept["tried"]
        ),
    )


def _nodes(kept: Mapping[str, Any]) -> None:
    if not kept["nodes"]:
        return
    shown = kept["nodes"][:_NODES_SHOWN]
    output.print_table(
        "layers with weights",
        ["layer", "operation", "bytes", "computes in"],
        ([one["name"], one["op"], _bytes(one["bytes"]), "int8" if one["int8"] else "float"] for one in shown),
    )
    if more := len(kept["nodes"]) - len(shown) + kept["moreNodes"]:
        output.say(f"and {more} more")


def _per_class(recalls: Mapping[str, Any]) -> None:
    before, after = recalls["float"] or {}, recalls["int8"] or {}
    if not before and not after:
        return
    output.print_table(
        "recall by class, on the imported holdout",
        ["class", "float", "shipped"],
        ([name, _share(before.get(name)), _share((after or before).get(name))] for name in (after or before)),
    )


def _gates(verdict: Mapping[str, Any]) -> None:
    if not verdict["outcome"]:
        return
    output.print_table(
        f"gates: {verdict['outcome']}",
        ["gate", "outcome", "reason"],
        ([str(one.get(key, "")) for key in ("name", "outcome", "reason")] for one in verdict["gates"]),
    )


def _bytes(count: int | None) -> str:
    return output.DASH if count is None else f"{count:,}"


def _share(value: float | None) -> str:
    return output.DASH if value is None else f"{value:.4f}"
