"""What came of what, both ways: examples with their labels, datasets, runs, versions and the nodes that run them.

Facts in, as objects and blobs say them, and one lineage out. What a fact names and nobody has is told with its reason;
nothing is guessed. Reading the facts and recomputing digests is the callers' business.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["example", "dataset", "run", "version", "node"]
KINDS: tuple[Kind, ...] = ("example", "dataset", "run", "version", "node")
Key = tuple[Kind, str]


@dataclass(frozen=True, slots=True)
class Label:
    """`text` is the class or the values, for people; `replaced` are those that it took the place of, newest first."""

    text: str
    source: str
    by: str
    at_unix_ms: int
    replaced: "tuple[Label, ...]" = ()


@dataclass(frozen=True, slots=True)
class Example:
    """`name` is its id. `answered_by`: digest of the version that answered; `datasets`: those that hold its row.
    `is_stored`: the example itself is there, not its label alone."""

    name: str
    model: str
    is_stored: bool = True
    node: str = ""
    request_id: str = ""
    answered_unix_ms: int = 0
    answered_by: str = ""
    label: Label | None = None
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dataset:
    """`name` is its digest. `nodes`: (training rows, holdout rows) that each node gave; `nameless`: captured rows of
    which no node is known, since an earlier release packed them."""

    name: str
    model: str
    created_unix_ms: int
    train: int
    holdout: int
    captured: int
    parents: tuple[str, ...] = ()
    nodes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    nameless: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    name: str
    model: str
    dataset: str
    why: str
    state: str
    message: str
    created_unix_ms: int


@dataclass(frozen=True, slots=True)
class Version:
    """`dataset`: as its manifest names it; None where the manifest cannot be had. `gone`: why its files are not there;
    empty: they are."""

    name: str
    model: str
    digest: str
    source: str
    run: str
    dataset: str | None
    gone: str
    created_unix_ms: int


@dataclass(frozen=True, slots=True)
class Node:
    """`runs`: digest of the version that it reports, by model."""

    name: str
    runs: Mapping[str, str]
    last_seen_unix_ms: int


Fact = Example | Dataset | Run | Version | Node


@dataclass(frozen=True, slots=True)
class Facts:
    examples: tuple[Example, ...] = ()
    datasets: tuple[Dataset, ...] = ()
    runs: tuple[Run, ...] = ()
    versions: tuple[Version, ...] = ()
    nodes: tuple[Node, ...] = ()

    def by_key(self) -> dict[Key, Fact]:
        listed: tuple[tuple[Fact, ...], ...] = (self.examples, self.datasets, self.runs, self.versions, self.nodes)
        return {(kind, fact.name): fact for kind, facts in zip(KINDS, listed, strict=True) for fact in facts}


@dataclass(frozen=True, slots=True)
class Unknown:
    """What the lineage cannot say, and why."""

    kind: Kind
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """`before`: what the subject came from; `after`: what came of it. A node is both, if it teaches what it runs."""

    kind: Kind
    subject: Fact
    before: Mapping[Kind, tuple[Fact, ...]]
    after: Mapping[Kind, tuple[Fact, ...]]
    unknown: tuple[Unknown, ...]

    def to_json(self) -> dict[str, Any]:
        """{kind, subject, before: {datasets: [...], ...}, after: {...}, unknown: [{kind, name, why}]}"""
        sides = {"before": self.before, "after": self.after}
        return {
            "kind": self.kind,
            "subject": _document(self.subject),
            **{
                side: {f"{kind}s": [_document(fact) for fact in found[kind]] for kind in KINDS}
                for side, found in sides.items()
            },
            "unknown": [asdict(one) for one in self.unknown],
        }


def join(facts: Facts, kind: Kind, name: str) -> Lineage:
    """The lineage of the fact `name`, which must be one of `facts`."""
    known = facts.by_key()
    subject, key = known[kind, name], (kind, name)
    led_to, came_from = _edges(known)
    before = _reached(came_from, [key])
    after = _reached(led_to, [key])
    if isinstance(subject, Node):  # what it gave rows to came of it, though it came first of a version
        gave: list[Key] = [("dataset", one.name) for one in facts.datasets if name in one.nodes]
        after = set(gave) | _reached(led_to, gave) - {key}
    reached = {key} | before | after
    return Lineage(
        kind,
        subject,
        _listed(known, before),
        _listed(known, after),
        tuple(dict.fromkeys(one for at in sorted(reached & known.keys()) for one in _unknown(known[at], known))),
    )


Edges = Mapping[Key, Sequence[Key]]


def _edges(known: Mapping[Key, Fact]) -> tuple[Edges, Edges]:
    """(what led to what, what came from what). Rows of a node in a dataset are no edge: everything would hang
    together through the nodes that run one version and teach the next."""
    led_to: dict[Key, list[Key]] = defaultdict(list)
    came_from: dict[Key, list[Key]] = defaultdict(list)
    of_digest = {fact.digest: key for key, fact in known.items() if isinstance(fact, Version)}
    for key, fact in known.items():
        for earlier, later in _links(key, fact, of_digest):
            led_to[earlier].append(later)
            came_from[later].append(earlier)
    return led_to, came_from


def _links(key: Key, fact: Fact, of_digest: Mapping[str, Key]) -> Iterator[tuple[Key, Key]]:
    match fact:
        case Example():
            yield from ((key, ("dataset", digest)) for digest in fact.datasets)
        case Dataset():
            yield from ((("dataset", parent), key) for parent in fact.parents)
        case Run():
            yield ("dataset", fact.dataset), key
        case Version():
            if fact.run:
                yield ("run", fact.run), key
            if fact.dataset:
                yield ("dataset", fact.dataset), key
        case Node():
            yield from ((of_digest[digest], key) for digest in fact.runs.values() if digest in of_digest)


def _reached(edges: Edges, start: Sequence[Key]) -> set[Key]:
    """What edges lead to from `start`, without `start` itself. Nothing is reached beyond a node."""
    reached: set[Key] = set()
    waiting = deque(start)
    while waiting:
        for nearer in edges.get(waiting.popleft(), ()):
            if nearer not in reached and nearer not in start:
                reached.add(nearer)
                waiting.append(nearer)
    return reached


def _listed(known: Mapping[Key, Fact], keys: set[Key]) -> dict[Kind, tuple[Fact, ...]]:
    return {kind: tuple(known[key] for key in sorted(keys & known.keys()) if key[0] == kind) for kind in KINDS}


def _unknown(fact: Fact, known: Mapping[Key, Fact]) -> Iterator[Unknown]:
    """What this fact names and nobody has."""
    match fact:
        case Example():
            yield from _unknown_of_example(fact)
        case Dataset():
            for parent in fact.parents:
                if ("dataset", parent) not in known:
                    yield Unknown("dataset", parent, f"dataset {fact.name} was made on it, and it is not stored")
            if fact.nameless:
                yield Unknown(
                    "node", "", f"{fact.nameless} captured rows of dataset {fact.name} name no node: an earlier "
                    "release packed them, or the dataset left them unnamed"
                )  # fmt: skip
        case Run():
            if ("dataset", fact.dataset) not in known:
                yield Unknown("dataset", fact.dataset, f"run {fact.name} names it, and it is not stored any more")
        case Version():
            yield from _unknown_of_version(fact, known)
        case Node():
            digests = {one.digest for one in known.values() if isinstance(one, Version)}
            for model, digest in sorted(fact.runs.items()):
                if digest not in digests:
                    text = f"node {fact.name} runs it for {model}, and no ModelVersion has this digest: it was deleted"
                    yield Unknown("version", digest, text)


def _unknown_of_example(example: Example) -> Iterator[Unknown]:
    if not example.is_stored:
        text = "the example itself is not stored any more: which node captured it, when and by which version is gone"
        yield Unknown("example", example.name, text)
    if example.label is None:
        yield Unknown("example", example.name, "it has no label yet: `skerry labels` says what labelling waits for")
    elif not example.datasets:
        yield Unknown(
            "dataset", "", f"no stored dataset holds {example.name}: it is not published yet, another example of the "
            "same input stands for it, it was left out (`dropped` of the manifest counts why), or retention removed "
            "the dataset that held it"
        )  # fmt: skip


def _unknown_of_version(version: Version, known: Mapping[Key, Fact]) -> Iterator[Unknown]:
    if version.gone:
        yield Unknown("version", version.name, f"its files cannot be had: {version.gone}")
    if version.source == "Imported":
        text = "it was imported: no training run of this system made it, and what it learned from is not recorded"
        yield Unknown("run", "", f"{version.name}: {text}")
        return
    if version.run and ("run", version.run) not in known:
        yield Unknown("run", version.run, f"version {version.name} names it, and the TrainingRun was deleted")
    if version.dataset is None:
        text = f"version {version.name} was trained on it, and its manifest, which names it, is not stored any more"
        yield Unknown("dataset", "", text)
    elif version.dataset and ("dataset", version.dataset) not in known:
        yield Unknown(
            "dataset", version.dataset, f"version {version.name} was trained on it, and it is not stored any more"
        )


def _document(fact: Fact) -> dict[str, Any]:
    """Keys as in custom resources."""
    return {_camel(key): _plain(value) for key, value in asdict(fact).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        keep = not {"text", "at_unix_ms"} <= value.keys()  # of a label the keys are ours
        return {key if keep else _camel(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
