"""What the curator counts, for Prometheus."""

from collections.abc import Callable, Mapping

from skerry.adapters.telemetry.metrics import Histogram, Labels, Metrics
from skerry.core import datasets
from skerry.curator.model_state import ModelState
from skerry.curator.setting_aside import SettingAside


def families(models: Mapping[str, ModelState], setting_aside: SettingAside, unix_ms: Callable[[], int]) -> Metrics:
    """Read from the states of the models when asked; `unix_ms` is the clock."""
    made = Metrics("curator")
    made.gauge(
        "skerry_labels_waiting",
        "Captured examples that have no label yet, without those that are set aside or refused.",
        ("model",),
        lambda: {(name,): float(state.backlog.waiting) for name, state in dict(models).items()},
    )
    made.gauge(
        "skerry_labels_oldest_seconds",
        "How long the oldest example without a label has waited; 0: none waits.",
        ("model",),
        lambda: {(name,): _age_s(state, unix_ms()) for name, state in dict(models).items()},
    )
    made.gauge(
        "skerry_labels_teacher_answers",
        "1: the teacher answered when it was asked last; 0: it has no such model, or fails.",
        ("model",),
        lambda: {(name,): float(not state.teaching.trouble) for name, state in dict(models).items()},
    )
    made.gauge(
        "skerry_labels_set_aside",
        "Examples and truths that labelling goes on without (`skerry labels aside`).",
        ("model", "reason"),
        lambda: _set_aside(models),
    )
    made.gauge(
        "skerry_truths_contradicting_ratio",
        "Truths of a node that contradict the teacher, of those that can be compared with it, 0 to 1.",
        ("model", "node"),
        lambda: _by_node(models, lambda rows: rows.contradicting / rows.truths if rows.truths else 0.0),
    )
    made.gauge(
        "skerry_truths_set_aside",
        "Truths of a node that count no more, since it contradicts far more often than the others do.",
        ("model", "node"),
        lambda: _by_node(models, lambda rows: float(rows.set_aside)),
    )
    made.gauge(
        "skerry_rows_left_out",
        "Captured rows of a node beyond its share of a dataset, and of classes that it alone has.",
        ("model", "node"),
        lambda: _by_node(models, lambda rows: float(rows.left_out + rows.waiting)),
    )
    made.total(
        "skerry_stream_entries_set_aside_total",
        "Entries of the stream that named nothing, since the start.",
        ("reason",),
        lambda: {(reason,): float(count) for reason, count in dict(setting_aside.entries).items()},
    )
    return made


def teacher_seconds(families: Metrics) -> Histogram:
    """Of a teacher as the curator meets it, over the network and with its queue."""
    return families.histogram(
        "skerry_teacher_answer_seconds",
        "How long the teacher took to answer one question of the curator.",
        ("model",),
        (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    )


def _age_s(state: ModelState, now_ms: int) -> float:
    oldest_ms = state.backlog.oldest_unix_ms
    return max(0, now_ms - oldest_ms) / 1000 if oldest_ms else 0.0


def _set_aside(models: Mapping[str, ModelState]) -> dict[Labels, float]:
    return {
        (name, reason): float(count)
        for name, state in dict(models).items()
        for reason, count in state.backlog.set_aside.items()
    }


def _by_node(models: Mapping[str, ModelState], number: Callable[[datasets.NodeRows], float]) -> dict[Labels, float]:
    """Of the nodes in the newest dataset of each model, those with the largest numbers first."""
    found = {
        (name, node): number(rows)
        for name, state in dict(models).items()
        if state.published is not None
        for node, rows in state.published.nodes.items()
    }
    return dict(sorted(found.items(), key=lambda item: -item[1]))
