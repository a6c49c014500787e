"""What the candidate and the stable version answer on the captured rows of each node, for `core.contributor_gates`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skerry.core import contributions, contributor_gates, dataset_parts, datasets, gates
from skerry.trainer import data, evaluate
from skerry.trainer.shipped import Shipped

MAX_ROWS = 2000  # of one node
MAX_REPORTED = 100  # nodes


def gates_of(loaded: data.Loaded, candidate: Shipped, stable: Shipped | None) -> list[gates.Gate]:
    """The gates about contributors; none in a small fleet, and where there is no version to compare with."""
    fleet = _fleet(loaded)
    rows = _rows(loaded)
    if stable is None or not fleet.is_bounded or not len(rows) or not loaded.manifest.class_names:
        return []
    theirs, ours = stable.manifest.task, candidate.manifest.task
    nodes, node = np.unique(rows.node, return_inverse=True)
    answers = contributor_gates.Answers(
        [name.decode() for name in nodes.tolist()],
        np.asarray(node, dtype=np.int64),
        evaluate.Answers(candidate.logits(rows.x)).classes,
        evaluate.in_our_terms(evaluate.Answers(stable.logits(rows.x)).classes, theirs, ours),
        np.where(rows.has_soft, np.nan_to_num(rows.soft, nan=-1.0).argmax(axis=1), dataset_parts.NO_LABEL),
    )
    return [*contributor_gates.judge(ours.class_names, answers, fleet), *waiting(loaded.manifest.nodes)]


def report_of(nodes: Mapping[str, datasets.NodeRows]) -> dict[str, Any]:
    """For the run's report: how many nodes gave rows, and of those that were held back most what each gave."""

    def order(name: str) -> tuple[int, int, str]:
        rows = nodes[name]
        return -(rows.left_out + rows.waiting + rows.set_aside), -(rows.train + rows.holdout), name

    told = sorted(nodes, key=order)[:MAX_REPORTED]
    return {"contributorCount": len(nodes), "contributors": {name: nodes[name].to_json() for name in told}}


def waiting(nodes: Mapping[str, datasets.NodeRows]) -> list[gates.Gate]:
    """Told, not judged: classes that one node alone has, and truths that were set aside, wait for a person."""
    told = [f"{rows.waiting} rows of a class that only {name} has" for name, rows in nodes.items() if rows.waiting]
    told += [f"{rows.set_aside} truths of {name} ({rows.outlier})" for name, rows in nodes.items() if rows.set_aside]
    if not told:
        return []
    text = f"{contributor_gates.first_of(told)}: left out until `skerry nodes trust` says that the node may teach them"
    return [gates.Gate("waiting", gates.Outcome.PASS, text)]


def _fleet(loaded: data.Loaded) -> contributions.Fleet:
    nodes = loaded.manifest.nodes
    trusted = tuple(sorted(name for name, rows in nodes.items() if rows.trusted))
    return contributions.Fleet(max(loaded.manifest.fleet, len(nodes)), trusted)


def _rows(loaded: data.Loaded) -> dataset_parts.Rows:
    """Captured rows that name a node, of holdout and training, at most MAX_ROWS of each node: the holdout's first."""
    parts = [rows["captured"] for rows in (loaded.holdouts, loaded.train) if "captured" in rows]
    every = dataset_parts.concatenate(parts, loaded.manifest.input, loaded.manifest.task)
    chosen = [np.flatnonzero(every.node == node)[:MAX_ROWS] for node in np.unique(every.node) if node]
    return every.take(np.sort(np.concatenate([np.empty(0, dtype=np.int64), *chosen])))
