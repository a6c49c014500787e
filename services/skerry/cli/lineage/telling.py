"""A lineage as lines for people: the subject first, then what it came from, what came of it, and what is not known."""

from collections.abc import Iterator, Mapping

from skerry.cli import output
from skerry.cli.lineage.verifying import Verified
from skerry.core import lineage

_TITLES = {"before": "came from", "after": "what came of it"}
_NODES_SHOWN = 12
_IDLE_SHOWN = 2  # datasets that nothing was trained on


def lines(found: lineage.Lineage, now_ms: int) -> Iterator[str]:
    yield f"{found.kind} {found.subject.name}"
    yield from (f"  {line}" for line in _details(found.subject, now_ms))
    for side, facts in (("before", found.before), ("after", found.after)):
        yield f"{_TITLES[side]}:"
        shown, others = _shown(facts)
        told = [line for kind in lineage.KINDS for fact in shown[kind] for line in _entry(kind, fact, now_ms)]
        if others:
            told.append(f"and {others} more datasets that nothing here was trained on (--json names them)")
        yield from (f"  {line}" for line in told or ["nothing that is known"])
    if found.unknown:
        yield "not known:"
        yield from (f"  {one.why}" + (f" ({one.kind} {one.name})" if one.name else "") for one in found.unknown)


def _shown(
    facts: Mapping[lineage.Kind, tuple[lineage.Fact, ...]],
) -> tuple[dict[lineage.Kind, list[lineage.Fact]], int]:
    """The facts that a person wants to see, and how many datasets were left out: a curator makes one every minute or
    so, and of those that nothing was trained on the newest few are enough."""
    trained = {
        one.dataset for one in (*facts["run"], *facts["version"]) if isinstance(one, lineage.Run | lineage.Version)
    }
    datasets = [fact for fact in facts["dataset"] if isinstance(fact, lineage.Dataset)]
    idle = sorted((one for one in datasets if one.name not in trained), key=lambda one: -one.created_unix_ms)
    kept: list[lineage.Fact] = [one for one in datasets if one.name in trained or one in idle[:_IDLE_SHOWN]]
    shown = {kind: kept if kind == "dataset" else list(facts[kind]) for kind in lineage.KINDS}
    return shown, len(datasets) - len(kept)


def verdict(verified: Verified) -> Iterator[str]:
    yield f"verified: {verified.matches} checks hold, {len(verified.differ)} do not"
    yield from (f"  DIFFERS {what}: {why}" for what, why in verified.differ)
    yield from (f"  not checked: {what}: {why}" for what, why in verified.unchecked)


def _entry(kind: lineage.Kind, fact: lineage.Fact, now_ms: int) -> Iterator[str]:
    first, *others = [*_details(fact, now_ms), ""]
    yield f"{kind} {fact.name}" + (f": {first}" if first else "")
    yield from (f"  {line}" for line in others if line)


def _details(fact: lineage.Fact, now_ms: int) -> Iterator[str]:
    match fact:
        case lineage.Example():
            if fact.is_stored:
                when = output.age(fact.answered_unix_ms, now_ms)
                request = f", request {fact.request_id}" if fact.request_id else ""
                yield f"of {fact.model}, captured on node {fact.node}{request} {when} ago"
                yield f"answered by {fact.answered_by}"
            yield _label(fact.label, now_ms)
        case lineage.Dataset():
            yield (
                f"of {fact.model}, {fact.train} training and {fact.holdout} holdout rows, {fact.captured} of them "
                f"captured, made {output.age(fact.created_unix_ms, now_ms)} ago"
            )
            yield _given(fact)
        case lineage.Run():
            message = f": {fact.message}" if fact.message else ""
            why = f" ({fact.why})" if fact.why else ""
            asked = output.age(fact.created_unix_ms, now_ms)
            yield f"of {fact.model}{why}, asked for {asked} ago, {fact.state}{message}"
        case lineage.Version():
            made = f"by run {fact.run}" if fact.run else fact.source.lower()
            yield f"of {fact.model}, {made}, {output.age(fact.created_unix_ms, now_ms)} ago, {fact.digest}"
        case lineage.Node():
            runs = ", ".join(f"{model} {digest}" for model, digest in sorted(fact.runs.items())) or "no model"
            yield f"runs {runs}, seen {output.age(fact.last_seen_unix_ms, now_ms)} ago"


def _label(label: lineage.Label | None, now_ms: int) -> str:
    if label is None:
        return "no label"
    replaced = "".join(f"; it replaced {_said(one, now_ms)}" for one in label.replaced)
    return f"label {_said(label, now_ms)}{replaced}"


def _said(label: lineage.Label, now_ms: int) -> str:
    return f"{label.text!r} ({label.source} by {label.by}, {output.age(label.at_unix_ms, now_ms)} ago)"


def _given(fact: lineage.Dataset) -> str:
    ordered = sorted(fact.nodes.items(), key=lambda item: (-sum(item[1]), item[0]))
    if not ordered:
        return ""
    shown = ", ".join(f"{node} {train}+{holdout}" for node, (train, holdout) in ordered[:_NODES_SHOWN])
    more = f" and {len(ordered) - _NODES_SHOWN} more nodes" if len(ordered) > _NODES_SHOWN else ""
    return f"rows of nodes (training+holdout): {shown}{more}"
