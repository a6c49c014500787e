"""A timeline as the demo tells it, for tests of the report and for looking at it."""

import math
from typing import Any


def timeline() -> dict[str, Any]:
    """Three phases, one retraining, a rollout in two waves."""
    moments = [2.0 * step + 41 for step in range(70)]
    return {
        "title": "skerry demo (cnn)",
        "closed": True,
        "seconds": 184.2,
        "summary": [
            _row("clean", 2700, 0.964, 0.981, 0.098),
            _row("drift", 13_400, 0.561, 0.702, 0.231),
            _row("after", 2700, 0.894, 0.931, 0.112),
        ],
        "nodes": [{"name": f"edge-{n}", "digest": "sha256:" + "7f" * 32, "version": 2} for n in (1, 2, 3)],
        "gates": [
            {"name": "imported-not-worse", "outcome": "Pass", "reason": "0.9640 before, 0.9655 now on 2000 rows"},
            {"name": "captured-not-worse", "outcome": "Pass", "reason": "0.5510 before, 0.8940 now on 240 rows"},
            {"name": "latency", "outcome": "Inconclusive", "reason": "not measured; at most 400 µs are allowed"},
        ],
        "events": [
            {"t": 3.1, "kind": "phase", "text": "9 processes are up"},
            {"t": 12.0, "kind": "training", "text": "training run digits-1 asked for: by hand"},
            {"t": 31.0, "kind": "version", "text": "digits-v1 is signed and published: 1c0ffee1, 61 KiB"},
            {"t": 33.0, "kind": "rollout", "text": "wave canary: edge-1"},
            {"t": 41.0, "kind": "phase", "text": "phase clean: clean cameras"},
            {"t": 84.0, "kind": "training", "text": "training run digits-2 asked for: 1,004 new examples"},
            {"t": 121.0, "kind": "version", "text": "digits-v2 is signed and published: 7f7f7f7f, 61 KiB"},
            {"t": 123.0, "kind": "node", "text": "edge-1 serves digits v2 (7f7f7f7f)"},
            {"t": 140.5, "kind": "verdict", "text": "wave canary: Pass — 31 of 240 bad, 118 of 262 on stable"},
            {"t": 143.0, "kind": "node", "text": "edge-2 serves digits v2 (7f7f7f7f)"},
            {"t": 146.0, "kind": "refused", "text": "edge-3 refuses 7f7f7f7f: <b>damaged</b>"},
        ],
        "series": {
            "accuracy_edge": [(at, _edge(at)) for at in moments],
            "accuracy_answers": [(at, min(0.99, _edge(at) + 0.06 + 0.02 * math.sin(at))) for at in moments],
            "offload_rate": [(at, 0.1 if at < 60 or at > 146 else 0.23 + 0.02 * math.sin(at)) for at in moments],
        },
        "versions": {
            "edge-1": [(34.0, 1), (123.0, 2)],
            "edge-2": [(38.0, 1), (143.0, 2)],
            "edge-3": [(38.5, 1), (145.0, 2)],
        },
        "phases": [("clean", 41.0, 59.0), ("drift", 59.0, 160.0), ("after", 160.0, 181.0)],
        "bytes": {"captured_examples": 1_913_000, "version_files": 250_000},
        "holdout": {"before": 0.964, "after": 0.9655, "n": 2000},
        "gain": {"before": 0.561, "after": 0.894, "n_before": 9_800, "n_after": 4_100},
        "teacher": {"clean": 0.9875, "drift": 0.941},
        "fault": None,
    }


def _row(name: str, requests: int, edge: float, answers: float, offload: float) -> dict[str, Any]:
    row = {"name": name, "requests": requests, "lost": 0, "edge_accuracy": edge, "answer_accuracy": answers}
    return row | {"offload_rate": offload, "p50_ms": 2.4, "p99_ms": 31.0 if name == "clean" else None}


def _edge(at: float) -> float:
    level = 0.96 if at < 60 else 0.56 if at < 123 else 0.68 if at < 144 else 0.89
    return level + 0.015 * math.sin(at * 1.7)
