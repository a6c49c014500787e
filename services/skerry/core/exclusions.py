"""Nodes that nothing is learned from any more: records that outlive the EdgeNode. Pure.

An exclusion is read wherever something is learned: in datasets, labels, truths, evidence and the counting of new
examples. Deleting it lets the node teach again, for its examples are still stored.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skerry.core import datasets, errors, names
from skerry.core.datasets import DatasetManifest
from skerry.core.specs.reader import Reader, read


@dataclass(frozen=True, slots=True)
class Exclusion:
    """`at_unix_ms` is when a person asked for it, 0 where that is not known."""

    name: str
    node: str
    reason: str = ""
    at_unix_ms: int = 0


@dataclass(frozen=True, slots=True)
class Learned:
    """A version that learned from a node: how many rows of it were in its dataset."""

    version: str
    model: str
    dataset: str
    train: int
    holdout: int

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "model": self.model,
            "dataset": self.dataset,
            "train": self.train,
            "holdout": self.holdout,
        }


def parse(name: str, spec: Mapping[str, Any]) -> Exclusion:
    """Raises InputError naming the field."""
    return read("Exclusion", name, "spec", spec, lambda reader: _exclusion(name, reader))


def nodes(specs: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The nodes that Exclusions with these specs name. One that cannot be read whole counts as well, as long as it
    names a node: what was excluded must not come back for want of a field."""
    return frozenset(node for spec in specs if isinstance(node := spec.get("node"), str) and names.is_name(node))


def without(manifest: DatasetManifest, excluded: Collection[str]) -> int:
    """Captured rows of a dataset, as `DatasetManifest.captured`, but for those of excluded nodes. Whose rows made room
    for others is not written down, nor whose any were in datasets of an earlier release: where they may be of an
    excluded node, they count as its."""
    if excluded and not manifest.nodes:
        return 0
    theirs = [manifest.nodes[node] for node in excluded if node in manifest.nodes]
    over_budget = manifest.dropped.get(datasets.OVER_BUDGET, 0) if theirs else 0
    return manifest.captured - over_budget - sum(rows.train + rows.holdout for rows in theirs)


def taught(manifest: DatasetManifest, excluded: Collection[str]) -> Sequence[str]:
    """The excluded nodes whose rows are in the dataset: it was made before they were excluded. Sorted."""
    return sorted(node for node in excluded if (rows := manifest.nodes.get(node)) and rows.train + rows.holdout)


def learned(version: str, dataset: str, manifest: DatasetManifest, node: str) -> Learned | None:
    """What a version that was trained on the dataset learned from the node; None: nothing."""
    rows = manifest.nodes.get(node)
    if rows is None or not rows.train + rows.holdout:
        return None
    return Learned(version, manifest.model, dataset, rows.train, rows.holdout)


def _exclusion(name: str, reader: Reader) -> Exclusion:
    node = reader.text("node", None, limit=120)
    if not names.is_name(node):
        raise reader.fault("node", "must be the name of a node")
    return Exclusion(name, node, reader.text("reason", "", limit=1024), reader.integer("atUnixMs", 0))


def check_new(node: str, known: Iterable[str]) -> str:
    """The name of a new Exclusion of `node`. Raises RejectedError when there is one already."""
    names.check("EdgeNode", node)
    if node in known:
        raise errors.RejectedError(f"node {node} is forgotten already: `skerry nodes forgotten` shows since when")
    return node
